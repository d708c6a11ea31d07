"""What the vendor's people do: licenses first, later installs, quotas and the audit log."""
