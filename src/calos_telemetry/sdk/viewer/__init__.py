"""The operator's API and pages, mounted by the application at ``/api/telemetry``."""
