"""Reports come in: bounded, checked row by row, scrubbed again, stored with their receipt."""
