"""An access log in the install's database: exact totals, nothing counted twice, nobody named in any file."""

from __future__ import annotations

import gzip
import io
import re
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import LogFormatError, SettingsError
from calos_telemetry.sdk.policy.decision import Policy
from calos_telemetry.sdk.record.access_log import Malformed, open_log
from calos_telemetry.sdk.record.log_import import Imported, LogImport
from calos_telemetry.settings import Settings
from calos_telemetry.store.tables import aggregates, events

SAMPLE = Path(__file__).parents[4] / "shared/data/traffic/apache_access.log"
needs_sample = pytest.mark.skipif(not SAMPLE.exists(), reason=f"the sample {SAMPLE.name} is not beside the project")
LINE = b'1.2.3.4 - - [17/May/2015:10:05:%02d +0000] "GET /a HTTP/1.1" 200 5 "http://from.example/" "Mozilla/5.0"\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir(mode=0o700)
    return tmp_path


@pytest.fixture
def engine(home: Path, install_engine: Engine) -> Engine:
    """Return a database on each engine, the file of SQLite in the home."""
    del home
    return install_engine


def import_log(home: Path, engine: Engine, log: bytes, public_host: str = "shop.example") -> Imported:
    policy = Policy(Settings(home=home, public_host=public_host), Tier.COMMUNITY)
    return LogImport(home / "spool", engine, "a" * 32, policy, b"s" * 32).run(io.BytesIO(log))


def count_by(engine: Engine, counter: str) -> dict[str, int]:
    total = func.sum(aggregates.c.value)
    query = select(aggregates.c.key, total).where(aggregates.c.counter == counter).group_by(aggregates.c.key)
    with engine.connect() as connection:
        return {row[0]: int(row[1]) for row in connection.execute(query)}


def awk(program: str) -> dict[str, int]:
    """Count in the sample with awk: an independent reader that knows nothing of ours."""
    program += ' END {for (name in n) printf "%s %.0f\\n", name, n[name]}'
    done = subprocess.run(["awk", program, SAMPLE], capture_output=True, text=True, check=True)
    return {name: int(count) for name, count in (row.rsplit(" ", 1) for row in done.stdout.splitlines())}


@needs_sample
def test_totals_in_the_database_equal_awk(home: Path, engine: Engine) -> None:
    """Requests by status class, method and hour, and bytes, of 10,000 real lines equal a count by awk."""
    done = import_log(home, engine, SAMPLE.read_bytes())
    assert (done.lines, done.new, done.known, done.malformed) == (10_000, 10_000, 0, 0)
    assert count_by(engine, "requests") == awk('{n[substr($9, 1, 1) "xx"]++}')
    assert count_by(engine, "method") == awk("{n[substr($6, 2)]++}")
    assert count_by(engine, "hour") == awk("{n[substr($4, 14, 2)]++}")
    assert count_by(engine, "bytes_out") == awk('{n[""] += $10}')


@needs_sample
def test_nobody_of_the_log_is_in_any_file(home: Path, engine: Engine) -> None:
    """No address, referrer, query string or user agent of the log is found in any file of the install."""
    import_log(home, engine, SAMPLE.read_bytes())
    engine.dispose()
    stored = b"\n".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    log = SAMPLE.read_bytes()
    addresses = {line.split()[0] for line in log.splitlines()}
    quoted = re.findall(rb'"\w+ (\S+) [^"]*" \d+ \S+ "([^"]*)" "([^"]*)', log)
    texts = {text for target, *rest in quoted for text in (target.partition(b"?")[2], *rest) if len(text) > 4}
    assert min(len(addresses), len(texts)) > 1_000
    assert [text for text in addresses | texts if text in stored] == []


def test_repeated_grown_and_packed_logs_add_only_what_is_new(home: Path, engine: Engine) -> None:
    """Importing again, through gzip, or after the file grew, stores each line once; identical lines stay two events."""
    log = b"".join(LINE % second for second in range(20)) + LINE % 19
    assert import_log(home, engine, log).new == 21
    (home / "log.gz").write_bytes(gzip.compress(log))
    with open_log(str(home / "log.gz")) as stream:
        again = import_log(home, engine, stream.read())
    assert (again.new, again.known) == (0, 21)
    grown = import_log(home, engine, log + LINE % 30)
    assert (grown.new, grown.known) == (1, 21)
    assert count_by(engine, "requests") == {"2xx": 22}
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(events)) == 22


def test_malformed_lines_are_told_by_number(home: Path, engine: Engine) -> None:
    """Lines that cannot be read are counted and told by number, and the others are imported."""
    done = import_log(home, engine, LINE % 1 + b"what\n" + LINE % 2)
    assert (done.lines, done.new, done.malformed) == (3, 2, 1)
    assert done.first_malformed == [Malformed(2, "it has no time in brackets")]


def test_file_of_another_kind_is_refused(home: Path, engine: Engine) -> None:
    """A file without a single readable line is no access log, and the error says so."""
    with pytest.raises(LogFormatError, match="none of 3 lines is in the common or combined log format"):
        import_log(home, engine, b"a\nb\nc\n")


def test_development_host_imports_nothing(home: Path, engine: Engine) -> None:
    """The log of a development host is refused: of such hosts nothing is recorded, ever."""
    with pytest.raises(SettingsError, match="nothing was imported: development host"):
        import_log(home, engine, LINE % 1, public_host="localhost")
    assert count_by(engine, "requests") == {}
