"""Every exception this package raises on purpose.

CalosTelemetryError
├── SettingsError       a setting, file or argument cannot be used as it is
├── StateError          the state directory (CALOS_HOME) cannot be used
├── LicenseError        a license key is damaged, expired or of another vendor
├── SignatureError      a signed document does not verify
├── ProtocolError       the other side sent something that is not the protocol
├── TransportError      the other side could not be reached
├── StoreError          the database cannot be used
└── LogFormatError      an access log cannot be read

Each message is one sentence that says what is wrong and what to do.  ``permanent`` says whether trying the same thing
again later can help: a network fault may pass, a damaged license key stays damaged.
"""

from __future__ import annotations


class CalosTelemetryError(Exception):
    """Base of all errors of this package; ``permanent`` is true where a retry cannot help."""

    permanent: bool = True


class SettingsError(CalosTelemetryError):
    """A setting, an environment variable or a command line argument cannot be used."""


class StateError(CalosTelemetryError):
    """The state directory or one of its files is missing, unwritable or readable by others."""

    permanent = False


class LicenseError(CalosTelemetryError):
    """A license key is damaged, expired, or signed by somebody other than the pinned vendor."""


class SignatureError(CalosTelemetryError):
    """A signature is missing, made by an unknown key, or does not match the bytes it stands for."""


class ProtocolError(CalosTelemetryError):
    """A message of the other side does not follow the wire protocol."""

    permanent = False


class TransportError(CalosTelemetryError):
    """The other side could not be reached, or answered with a transport failure (5xx, time-out)."""

    permanent = False


class StoreError(CalosTelemetryError):
    """The database is locked, unwritable, corrupt, or newer than this code."""

    permanent = False


class LogFormatError(CalosTelemetryError):
    """An access log is missing, unreadable, or holds no line of a known format."""
