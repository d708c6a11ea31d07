"""Product telemetry for self-hosted business software: obfuscated at the source, readable, receipted."""

from calos_telemetry.errors import CalosTelemetryError
from calos_telemetry.sdk.license.gates import LicenseMiddleware
from calos_telemetry.sdk.marks import feature
from calos_telemetry.sdk.middleware.asgi import TelemetryMiddleware
from calos_telemetry.sdk.telemetry import Telemetry
from calos_telemetry.sdk.track import track_choice, track_error, track_feature
from calos_telemetry.sdk.transactions import track_transaction
from calos_telemetry.settings import Settings

__all__ = [
    "CalosTelemetryError",
    "LicenseMiddleware",
    "Settings",
    "Telemetry",
    "TelemetryMiddleware",
    "__version__",
    "feature",
    "track_choice",
    "track_error",
    "track_feature",
    "track_transaction",
]

__version__ = "0.1.0"
