"""The databases that the tests of the store run on: SQLite, and a real PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from calos_telemetry.store.database import open_database, writing
from calos_telemetry.store.migrate import INSTALL, TELEMETRY, Schema
from calos_telemetry.store.tables import buckets
from tests import fault_table
from tests.postgres import NEEDS, bin_directory, server

ENGINES = ("sqlite", "postgresql")
Open = Callable[..., Engine]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Return the URL of a PostgreSQL that lives as long as the test session."""
    binaries = bin_directory()
    if binaries is None:
        pytest.skip(NEEDS)
    with server(binaries) as url:
        yield url


@pytest.fixture
def open_on(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Open databases of the named kind, each in a file or in a schema of its own unless ``name`` says otherwise."""
    opened: list[Engine] = []

    def open_(kind: str, *schemas: Schema, name: str | None = None) -> Engine:
        url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
        name = name or f"t{secrets.token_hex(8)}"
        engine = open_database(url, tmp_path / f"{name}.db", *(schemas or (TELEMETRY, INSTALL)), schema=name)
        opened.append(engine)
        return engine

    yield open_
    for engine in opened:
        engine.dispose()


@pytest.fixture(params=ENGINES)
def install_engine(request: pytest.FixtureRequest, open_on: Open) -> Engine:
    """Return the database of an install, on each engine."""
    return open_on(request.param)


@pytest.fixture(scope="session")
def open_lasting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """Open databases of the named kind for many examples, which empty them first; the disk is not waited for."""
    opened: list[Engine] = []

    def open_(kind: str) -> Engine:
        url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
        name = f"t{secrets.token_hex(8)}"
        engine = open_database(url, tmp_path_factory.mktemp(name) / "telemetry.db", TELEMETRY, INSTALL, schema=name)
        if url is None:
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        engine.dispose()
        opened.append(engine)
        return engine

    yield open_
    for engine in opened:
        engine.dispose()


def empty(engine: Engine) -> None:
    """Delete all rows but those that a migration made."""
    with writing(engine) as connection:
        for table in (*TELEMETRY.metadata.sorted_tables, *INSTALL.metadata.sorted_tables):
            if table is not buckets:
                connection.execute(table.delete())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the figures of this worker to the process that prints them, where the run has several."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["faults"] = fault_table.as_plain()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take a worker's figures."""
    fault_table.add(getattr(node, "workeroutput", {}).get("faults", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests with faults have seen, after a long run."""
    if fault_table.THOROUGH and (table := fault_table.lines()):
        terminalreporter.section(f"faults, {fault_table.ROUNDS} rounds, seed {fault_table.SEED}")
        for line in table:
            terminalreporter.write_line(line)
