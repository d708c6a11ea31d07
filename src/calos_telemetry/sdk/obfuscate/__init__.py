"""Plain functions that take the people out of what a program says about itself."""

from calos_telemetry.sdk.obfuscate.emails import obfuscate_email
from calos_telemetry.sdk.obfuscate.identifiers import obfuscate_user_id
from calos_telemetry.sdk.obfuscate.messages import obfuscate_message
from calos_telemetry.sdk.obfuscate.metadata import obfuscate_metadata
from calos_telemetry.sdk.obfuscate.paths import obfuscate_path
from calos_telemetry.sdk.obfuscate.stacks import obfuscate_stack

__all__ = [
    "obfuscate_email",
    "obfuscate_message",
    "obfuscate_metadata",
    "obfuscate_path",
    "obfuscate_stack",
    "obfuscate_user_id",
]
