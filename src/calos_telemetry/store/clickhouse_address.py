"""Where a ClickHouse is: ``clickhouse://user:password@host:8123,other:8123/database?cluster=name&replicated=true&secure=true``.

A host is the HTTP interface of a server.  With ``cluster`` (the name in ``remote_servers``) the tables are sharded over it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from calos_telemetry.errors import SettingsError

EXAMPLE = "clickhouse://user:password@host:8123/calos, and behind it ?cluster=NAME for a cluster"
_URL = re.compile(
    r"clickhouse://(?:([^/?#@:]*)(?::([^/?#@]*))?@)?([^/?#@]+)/([A-Za-z_][A-Za-z0-9_]{0,62})(?:\?([^#]*))?"
)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_OPTIONS = {"cluster", "replicated", "secure"}
_PORT, _SECURE_PORT = 8123, 8443


@dataclass(frozen=True, slots=True)
class Host:
    """One server's HTTP interface."""

    name: str
    port: int


@dataclass(frozen=True, slots=True)
class Address:
    """A ClickHouse: one server, or the servers of a cluster."""

    hosts: tuple[Host, ...]
    user: str
    password: str = field(repr=False)
    database: str
    cluster: str | None = None
    replicated: bool = False
    secure: bool = False

    def __str__(self) -> str:
        """Say where it is, without the password."""
        return f"ClickHouse {self.database} at {', '.join(f'{host.name}:{host.port}' for host in self.hosts)}"


def parse_address(url: str) -> Address:
    """Read a URL.  Raises :class:`SettingsError` (which never repeats the URL: it may hold a password)."""
    found = _URL.fullmatch(url)
    if found is None:
        raise SettingsError(f"the ClickHouse URL cannot be read: give {EXAMPLE}")
    user, password, hosts, database, query = found.groups()
    options = dict(parse_qsl(query or "", keep_blank_values=True))
    unknown = options.keys() - _OPTIONS
    if unknown:
        raise SettingsError(
            f"the ClickHouse URL has the option {min(unknown)!r}: there are {', '.join(sorted(_OPTIONS))}"
        )
    secure, replicated, cluster = _flag(options, "secure"), _flag(options, "replicated"), options.get("cluster")
    if cluster is not None and _NAME.fullmatch(cluster) is None:
        raise SettingsError("the ClickHouse URL names no usable cluster: give its name in remote_servers")
    if replicated and cluster is None:
        raise SettingsError("the ClickHouse URL asks for replicated tables: name the cluster, too")
    return Address(
        hosts=tuple(_host(each, _SECURE_PORT if secure else _PORT) for each in hosts.split(",")),
        user=unquote(user or "default"),
        password=unquote(password or ""),
        database=database,
        cluster=cluster,
        replicated=replicated,
        secure=secure,
    )


def _host(text: str, usual: int) -> Host:
    found = _HOST.fullmatch(text)
    port = int(found[2] or usual) if found else 0
    if found is None or not 0 < port < 1 << 16:
        raise SettingsError(f"the ClickHouse URL names a host that cannot be read: give {EXAMPLE}")
    return Host(found[1].strip("[]"), port)


def _flag(options: dict[str, str], name: str) -> bool:
    value = options.get(name, "false")
    if value not in {"true", "false"}:
        raise SettingsError(f"the ClickHouse URL says {name}={value}: give true or false")
    return value == "true"
