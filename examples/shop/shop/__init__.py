"""A small business application with telemetry built in: the example of how to integrate CALOS Telemetry."""
