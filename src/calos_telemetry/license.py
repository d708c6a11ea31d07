"""The license inside an application: what holds, what a view needs of it, and the brand that it asks for."""

from calos_telemetry.sdk.branding import Branding
from calos_telemetry.sdk.current_license import current_license
from calos_telemetry.sdk.requirements import require_feature, require_tier

__all__ = ["Branding", "current_license", "require_feature", "require_tier"]
