"""What an application pays at import for instruments that it does not use."""

import subprocess
import sys


def test_importing_the_package_loads_no_instrumented_library() -> None:
    """``import calos_telemetry`` loads neither databases nor frameworks, OpenTelemetry or Celery."""
    program = (
        "import sys, calos_telemetry; print(sorted({'sqlalchemy', 'opentelemetry', 'celery', 'django', 'kombu'}"
        " & {name.partition('.')[0] for name in sys.modules}))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"
