"""ClickHouse for the telemetry of a fleet that outgrew one machine: opening, inserting, deleting.

Questions are asked through SQLAlchemy, with settings that make ClickHouse answer as the other engines do: ``final``
because parts with an older revision may not have been merged yet, the others because of NULLs, unions and aliases.
Rows come in large blocks past SQLAlchemy.  An insert returns when every shard has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import URL, Engine, Table, create_engine
from sqlalchemy.exc import NoSuchModuleError

from calos_telemetry.errors import SettingsError, StoreError
from calos_telemetry.store.clickhouse_address import Address, Host, parse_address
from calos_telemetry.store.clickhouse_ddl import FLEET, VERSIONS, engine, on_cluster, stored_in

_READING: Final = {
    "final": 1,
    "join_use_nulls": 1,
    "aggregate_functions_null_for_empty": 1,
    "union_default_mode": "DISTINCT",
    "prefer_column_name_to_alias": 1,
    "group_by_use_nulls": 1,
    # What one question may take; beyond half of it groups and sorts go to the disk.
    "max_memory_usage": 2_000_000_000,
    "max_bytes_before_external_group_by": 1_000_000_000,
    "max_bytes_before_external_sort": 1_000_000_000,
    "max_execution_time": 60,
}
# The server gives up before we do: what we believe to have failed must not arrive later, after an erasure.
_INSERTING: Final = {"distributed_foreground_insert": 1, "max_execution_time": 45}
_TIMEOUTS: Final[dict[str, Any]] = {"connect_timeout": 10, "send_receive_timeout": 60}
_NEEDS = "a ClickHouse URL needs a driver: pip install 'calos-telemetry[clickhouse]'"
_VERSION_TABLE = "calos_version"


@dataclass(frozen=True, slots=True)
class ClickHouse:
    """The telemetry tables on ClickHouse; ``reader`` answers questions."""

    address: Address
    reader: Engine = field(repr=False)

    def prepare(self) -> None:
        """Bring the tables up to date.  Raises :class:`SettingsError` and :class:`StoreError`."""
        for host in _told(self.address):
            with _client(self.address, host, inside=False) as client:
                _check_cluster(client, self.address)
                _migrate(client, self.address)

    def insert(self, table: Table, rows: Sequence[Mapping[str, Any]], token: str) -> None:
        """Insert rows; the same ``token`` again adds nothing, and neither does a revision that is there already.

        Raises :class:`StoreError` when it is not sure that every row is there.
        """
        if not rows:
            return
        names = [column.name for column in table.columns]
        settings = {"insert_deduplication_token": token, **_INSERTING}
        columns = [[row[name] for row in rows] for name in names]
        with _client(self.address, self.address.hosts[0]) as client:
            client.insert(table.name, columns, column_names=names, column_oriented=True, settings=settings)

    def erase(self, install_id: str) -> int:
        """Delete every row of an install from the disks and return how many there were.  Raises :class:`StoreError`."""
        mine, settings = {"install": install_id}, {"mutations_sync": 2}
        where = "WHERE install_id = {install:String}"
        with _client(self.address, self.address.hosts[0]) as client:
            counts = [
                client.query(f"SELECT count() FROM {table.name} FINAL {where}", parameters=mine).first_row[0]  # noqa: S608 - our own names
                for table in FLEET
            ]
        for host in _told(self.address):
            with _client(self.address, host) as client:
                for table in FLEET:
                    change = f"ALTER TABLE {stored_in(table, self.address)}{on_cluster(self.address)} DELETE {where}"
                    client.command(change, parameters=mine, settings=settings)
        return sum(counts)

    def close(self) -> None:
        """Close every connection."""
        self.reader.dispose()


def open_clickhouse(url: str) -> ClickHouse:
    """Return the ClickHouse at ``url``, without asking it anything yet.

    Raises :class:`SettingsError` for a URL that cannot be used.
    """
    address = parse_address(url)
    return ClickHouse(address, _reader(address))


def _told(address: Address) -> Sequence[Host]:
    """Return the servers that have to be told of a change: replicated ones hand it on."""
    return address.hosts[:1] if address.replicated else address.hosts


def _check_cluster(client: Any, address: Address) -> None:
    if address.cluster is None:
        return
    query = "SELECT count() FROM system.clusters WHERE cluster = {name:String}"
    members = client.query(query, parameters={"name": address.cluster}).first_row[0]
    if not members:
        raise SettingsError(f"ClickHouse knows no cluster {address.cluster!r}: give its name in remote_servers")
    if members != len(address.hosts) and not address.replicated:
        raise SettingsError(
            f"the cluster {address.cluster!r} has {members} servers and the ClickHouse URL names {len(address.hosts)}: "
            "name all of them, separated by commas"
        )


def _migrate(client: Any, address: Address) -> None:
    """Bring one server up to date, a version at a time; one that was interrupted is begun again."""
    versions = f"{address.database}.{_VERSION_TABLE}"
    client.command(f"CREATE DATABASE IF NOT EXISTS {address.database}{on_cluster(address)}")
    client.command(
        f"CREATE TABLE IF NOT EXISTS {versions}{on_cluster(address)} (name String, revision Int64) "
        f"ENGINE = {engine(address, _VERSION_TABLE)} ORDER BY name"
    )
    done = client.query(f"SELECT max(revision) FROM {versions} WHERE name = 'telemetry'").first_row[0] or 0  # noqa: S608 - our own names
    if done > len(VERSIONS):
        raise StoreError(f"{address} holds tables of a newer version than this code: upgrade calos-telemetry")
    for number, statements in enumerate(VERSIONS[done:], start=done + 1):
        for statement in statements(address):
            client.command(statement)
        client.insert(versions, [["telemetry", number]], column_names=["name", "revision"])


def _reader(address: Address) -> Engine:
    first = address.hosts[0]
    url = URL.create(
        "clickhousedb",
        username=address.user,
        password=address.password,
        host=first.name,
        port=first.port,
        database=address.database,
    )
    options = {"secure": address.secure, **_TIMEOUTS, **_READING}
    try:
        return create_engine(url, connect_args=options, pool_pre_ping=True)
    except (ModuleNotFoundError, NoSuchModuleError):
        raise SettingsError(_NEEDS) from None


@contextmanager
def _client(address: Address, host: Host, *, inside: bool = True) -> Iterator[Any]:
    """Yield a client (``inside`` the database), and raise whatever its server or the network says as a :class:`StoreError`."""
    from clickhouse_connect import get_client  # noqa: PLC0415 - an extra, and there: the reader was made with it
    from clickhouse_connect.driver.exceptions import ClickHouseError  # noqa: PLC0415

    try:
        client = get_client(
            host=host.name,
            port=host.port,
            username=address.user,
            password=address.password,
            database=address.database if inside else None,
            secure=address.secure,
            autogenerate_session_id=False,
            **_TIMEOUTS,
        )
        try:
            yield client
        finally:
            client.close()
    except ClickHouseError as error:
        raise StoreError(f"{address} cannot be used ({_first_line(error)}): start it, or correct its URL") from None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
