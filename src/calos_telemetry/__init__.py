"""Product telemetry for self-hosted business software."""
