"""All settings, frozen, in one place: the environment is read here and nowhere else."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from calos_telemetry.errors import SettingsError

DEFAULT_SERVER = "https://license.calos.sh"
EVENTS_PER_DAY = 1_000_000
MAX_REVIEW_HOURS = 720
_POSTGRES = "postgresql://user:password@host/database"
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"", "0", "false", "no", "off"})


def _default_home() -> Path:
    return _expanded("CALOS_HOME", os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "calos-telemetry"


def _expanded(name: str, text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # a container's user without a home directory, or ~somebody who is not there
        raise SettingsError(f"{name} is needed: {text} leads to a home directory that does not exist") from None


def _absolute(name: str, path: Path) -> Path:
    try:
        return path.absolute()
    except FileNotFoundError:
        raise SettingsError(f"{name} is {path}: give a full path, the current directory does not exist") from None


@dataclass(frozen=True, slots=True)
class Settings:
    """How one install behaves.  Every field has an environment variable, named in its comment."""

    home: Path = field(default_factory=_default_home)  # CALOS_HOME: the state directory
    public_host: str | None = None  # CALOS_PUBLIC_HOST: the host name visitors use; wins over the Host header
    license_key: str | None = field(
        default=None, repr=False
    )  # CALOS_LICENSE_KEY: the key itself, or the path of a file that holds it
    telemetry_disabled: bool = False  # TELEMETRY_DISABLED: obeyed for a proven Enterprise license
    server: str = DEFAULT_SERVER  # CALOS_LICENSE_SERVER: base URL of the vendor's license server
    vendor_key: str | None = None  # CALOS_VENDOR_KEY: the vendor's root public key, base64url
    operator_token: str | None = field(default=None, repr=False)  # CALOS_OPERATOR_TOKEN: opens /api/telemetry/
    app_version: str = "0"  # CALOS_APP_VERSION: version of the application, reported with every verification
    drain_seconds: float = 300.0  # CALOS_DRAIN_SECONDS: how often the spool is moved into the database
    events_per_day: int = EVENTS_PER_DAY  # CALOS_EVENTS_PER_DAY: events kept as they are; of more of a day, a sample
    declarations: Path | None = None  # CALOS_DECLARATIONS: TOML file that declares features and metadata keys
    database_url: str | None = field(default=None, repr=False)  # TELEMETRY_DATABASE_URL: PostgreSQL instead of SQLite
    database_schema: str | None = None  # TELEMETRY_DATABASE_SCHEMA: schema of its tables (calos_telemetry)
    geo_database: Path | None = None  # CALOS_GEO_DATABASE: MMDB file from which a request's country is read
    country_header: str | None = None  # CALOS_COUNTRY_HEADER: header in which a trusted proxy tells country or address
    policy: Path | None = None  # CALOS_POLICY: TOML file that takes away (policy.toml in the state directory)
    review_hours: float = 0.0  # CALOS_REVIEW_HOURS: so long a sealed report waits to be read before it is sent

    def __post_init__(self) -> None:
        """Check what can be checked without touching the disk.  Raises :class:`SettingsError`."""
        for name in ("home", "declarations", "geo_database"):
            if getattr(self, name) is not None:  # found again wherever the application goes later (a daemon goes to /)
                object.__setattr__(self, name, _absolute(name, getattr(self, name)))
        _check_url("CALOS_LICENSE_SERVER", self.server)
        _check_database("TELEMETRY_DATABASE_URL", self.database_url)
        if not 0 < self.drain_seconds < float("inf"):
            raise SettingsError(f"CALOS_DRAIN_SECONDS is {self.drain_seconds}: give a number of seconds above 0")
        if self.events_per_day < 1:
            raise SettingsError(f"CALOS_EVENTS_PER_DAY is {self.events_per_day}: give a whole number above 0")
        if self.country_header is not None and _HEADER.fullmatch(self.country_header) is None:
            raise SettingsError(f"CALOS_COUNTRY_HEADER is {self.country_header!r}: give a name such as CF-IPCountry")
        if not 0 <= self.review_hours <= MAX_REVIEW_HOURS:
            raise SettingsError(f"CALOS_REVIEW_HOURS is {self.review_hours:g}: give 0 to {MAX_REVIEW_HOURS} hours")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from ``environ`` (the process environment by default)."""
        env = os.environ if environ is None else environ
        return cls(
            home=_path(env, "CALOS_HOME") or _default_home(),
            public_host=env.get("CALOS_PUBLIC_HOST") or None,
            license_key=env.get("CALOS_LICENSE_KEY") or None,
            telemetry_disabled=_flag(env, "TELEMETRY_DISABLED"),
            server=env.get("CALOS_LICENSE_SERVER") or DEFAULT_SERVER,
            vendor_key=env.get("CALOS_VENDOR_KEY") or None,
            operator_token=env.get("CALOS_OPERATOR_TOKEN") or None,
            app_version=env.get("CALOS_APP_VERSION") or "0",
            drain_seconds=_number(env, "CALOS_DRAIN_SECONDS", 300.0),
            events_per_day=_whole_number(env, "CALOS_EVENTS_PER_DAY", EVENTS_PER_DAY),
            declarations=_path(env, "CALOS_DECLARATIONS"),
            database_url=env.get("TELEMETRY_DATABASE_URL") or None,
            database_schema=env.get("TELEMETRY_DATABASE_SCHEMA") or None,
            geo_database=_path(env, "CALOS_GEO_DATABASE"),
            country_header=env.get("CALOS_COUNTRY_HEADER") or None,
            policy=_path(env, "CALOS_POLICY"),
            review_hours=_number(env, "CALOS_REVIEW_HOURS", 0.0, "hours"),
        )

    @classmethod
    def salvaged(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Return what concerns the license and the operator's door of an environment that cannot be used; no home."""
        env = os.environ if environ is None else environ
        return cls(
            home=Path(os.devnull),
            license_key=env.get("CALOS_LICENSE_KEY") or None,
            vendor_key=env.get("CALOS_VENDOR_KEY") or None,
            operator_token=env.get("CALOS_OPERATOR_TOKEN") or None,
        )


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the vendor's license server behaves.  Every field has an environment variable, named in its comment."""

    home: Path = field(default_factory=lambda: _default_home() / "server")  # CALOS_SERVER_HOME: keys and databases
    admin_token: str | None = field(default=None, repr=False)  # CALOS_SERVER_ADMIN_TOKEN: opens the vendor's pages
    database_url: str | None = field(default=None, repr=False)  # CALOS_SERVER_DATABASE_URL: PostgreSQL, not SQLite
    telemetry_url: str | None = field(default=None, repr=False)  # CALOS_SERVER_TELEMETRY_URL: ClickHouse, for reports

    def __post_init__(self) -> None:
        """Check what can be checked without touching the disk.  Raises :class:`SettingsError`."""
        _check_database("CALOS_SERVER_DATABASE_URL", self.database_url)
        if self.telemetry_url is not None and not self.telemetry_url.startswith("clickhouse://"):
            raise SettingsError(
                "CALOS_SERVER_TELEMETRY_URL is of another kind: give clickhouse://user:password@host/name"
            )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> ServerSettings:
        """Read the settings from ``environ`` (the process environment by default)."""
        env = os.environ if environ is None else environ
        return cls(
            home=_path(env, "CALOS_SERVER_HOME") or _default_home() / "server",
            admin_token=env.get("CALOS_SERVER_ADMIN_TOKEN") or None,
            database_url=env.get("CALOS_SERVER_DATABASE_URL") or None,
            telemetry_url=env.get("CALOS_SERVER_TELEMETRY_URL") or None,
        )


def _path(env: Mapping[str, str], name: str) -> Path | None:
    return _expanded(name, env[name]) if env.get(name) else None


def _flag(env: Mapping[str, str], name: str) -> bool:
    value = env.get(name, "").strip().lower()
    if value not in _TRUE | _FALSE:
        raise SettingsError(f"{name} is {value!r}: give true or false")
    return value in _TRUE


def _number(env: Mapping[str, str], name: str, default: float, unit: str = "seconds") -> float:
    value = env.get(name, "").strip()
    try:
        return float(value) if value else default
    except ValueError:
        raise SettingsError(f"{name} is {value!r}: give a number of {unit}") from None


def _check_database(name: str, url: str | None) -> None:
    if url is not None and not url.startswith(("postgresql://", "postgres://")):
        raise SettingsError(f"{name} is of another kind: give {_POSTGRES}")


def _whole_number(env: Mapping[str, str], name: str, default: int) -> int:
    value = env.get(name, "").strip()
    try:
        return int(value) if value else default
    except ValueError:
        raise SettingsError(f"{name} is {value!r}: give a whole number") from None


def _check_url(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(f"{name} is {url!r}: give a URL such as {DEFAULT_SERVER}")
