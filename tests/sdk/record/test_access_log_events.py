"""What a line of an access log becomes: an id that a repeat cannot change, and an event that names nobody."""

from __future__ import annotations

import gzip
import io
import re
import subprocess
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk.record.log_reading import AT, COMBINED, lines_of, only

from calos_telemetry.clock import to_datetime
from calos_telemetry.contract.events import UNMATCHED, ApiRequest, to_record
from calos_telemetry.sdk.record import access_log
from calos_telemetry.sdk.record.access_log import Line, LineIds, read_log, to_event

SAMPLE = Path(__file__).parents[4] / "shared/data/traffic/apache_access.log"
needs_sample = pytest.mark.skipif(
    not SAMPLE.exists(), reason="the sample ../shared/data/traffic/apache_access.log is absent"
)


def ids_of(log: bytes) -> list[str]:
    ids = LineIds(b"secret")
    return [ids.of(line) for line in lines_of(log) if isinstance(line, Line)]


def event_of(line: Line) -> ApiRequest:
    return to_event(
        line,
        path_of=lambda path: re.sub(r"\d+", ":id", path),
        client_of=lambda agent: ("Firefox" if "Mozilla" in agent else None, "Linux"),
        session_of=lambda line: "5" * 16 if line.address else None,
        user_of=lambda user: "a" * 16 if user else None,
    )


# -- ids ---------------------------------------------------------------------------------------------------------------


DISTINCT = [COMBINED.replace(b"/a/7", b"/a/%d" % number) for number in range(5)]
LOGS = st.lists(st.sampled_from(DISTINCT), max_size=30)


@given(LOGS)
def test_identical_lines_stay_separate_events(log: list[bytes]) -> None:
    """Every line of a file has its own id, also where lines are identical, and all are 32 hex digits."""
    ids = ids_of(b"\n".join(log))
    assert len(set(ids)) == len(ids) == len(log)
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in ids)


@given(LOGS, st.integers(0, 30), st.sampled_from([b"\n", b"\r\n"]))
def test_ids_survive_growth_and_rotation(log: list[bytes], cut: int, end: bytes) -> None:
    """A file read before it grew has the same ids; one that lost its beginning has no id that the whole one lacks."""
    whole = ids_of(b"\n".join(log))
    assert ids_of(end.join(log[:cut])) == whole[:cut]
    assert set(ids_of(end.join(log[cut:]))) <= set(whole)


def test_ids_depend_on_the_secret() -> None:
    """Without the install's secret nobody can tell the id of a line."""
    line = only(COMBINED)
    assert LineIds(b"one").of(line) != LineIds(b"two").of(line)


def test_window_of_identical_lines_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory for counting identical lines is bounded; what falls out of the window counts as seen before."""
    monkeypatch.setattr(access_log, "TWIN_WINDOW", 3)
    near = ids_of(b"\n".join([DISTINCT[0], *DISTINCT[1:3], DISTINCT[0]]))
    far = ids_of(b"\n".join([DISTINCT[0], *DISTINCT[1:4], DISTINCT[0]]))
    assert near[0] != near[-1]
    assert far[0] == far[-1]


# -- events ------------------------------------------------------------------------------------------------------------


def test_event_keeps_nothing_that_names_a_person() -> None:
    """The event has the template, the counts and the hashes; query, referrer, address, user and agent are gone."""
    event = event_of(only(COMBINED.replace(b"- -", b"- anna").replace(b"/a/7", b"/a/7#x")))
    assert event == ApiRequest(
        method="GET", path="/a/:id", status=200, duration_us=None, response_bytes=512, user="a" * 16, session="5" * 16,
        browser="Firefox", os="Linux", style="page", inferred=True,
    )  # fmt: skip
    stored = to_record(AT, event)
    assert not [word for word in (b"q=1", b"from.example", b"1.2.3.4", b"anna", b"Mozilla", b"X11") if word in stored]


@pytest.mark.parametrize(
    ("target", "status", "path", "style"),
    [
        ("/wp-login.php", 404, UNMATCHED, "page"),
        ("/a", 400, UNMATCHED, "page"),
        ("/a", 444, UNMATCHED, "page"),
        ("/a", 403, "/a", "page"),
        ("/a", 500, "/a", "page"),
        ("/", 200, "/", "page"),
        ("/?a=/b.css", 200, "/", "page"),
        ("/site.css?v=1", 200, "/site.css", "static"),
        ("/i/LOGO.PNG", 200, "/i/LOGO.PNG", "static"),
        ("/API/x", 200, "/API/x", "page"),
        ("/css", 200, "/css", "page"),
        ("/a.css/b", 200, "/a.css/b", "page"),
        ("/api", 200, "/api", "rest"),
        ("/api/v1/x.json", 200, "/api/v:id/x.json", "rest"),
        ("/graphql", 200, "/graphql", "graphql"),
        ("/apis", 200, "/apis", "page"),
        ("http://10.0.0.1/api/x?y", 200, "/api/x", "rest"),
        ("HTTPS://10.0.0.1", 200, "/", "page"),
        ("10.0.0.1:443", 200, UNMATCHED, "page"),
        ("ftp://10.0.0.1/x", 200, UNMATCHED, "page"),
        ("*", 200, UNMATCHED, "page"),
        ("", 200, UNMATCHED, "page"),
    ],
)
def test_path_and_style_of_an_event(target: str, status: int, path: str, style: str) -> None:
    """Paths that no route answered write no rows of their own, and the style tells API, page and static file apart."""
    line = msgspec.structs.replace(only(COMBINED), target=target, status=status)
    event = event_of(line)
    assert (event.path, event.style) == (path, style)


def test_unknown_methods_become_other() -> None:
    """A made-up method cannot widen the tables."""
    assert event_of(only(COMBINED.replace(b"GET", b"HACK"))).method == "OTHER"
    assert event_of(only(COMBINED.replace(b"GET", b"get"))).method == "OTHER"
    assert event_of(only(COMBINED.replace(b"GET", b"\\x16"))).method == "OTHER"


# -- the real log ------------------------------------------------------------------------------------------------------


def awk(program: str) -> dict[str, int]:
    """Count in the sample with awk: an independent reader that knows nothing of ours."""
    done = subprocess.run(["awk", program, SAMPLE], capture_output=True, text=True, check=True)
    return {name: int(count) for name, count in (row.rsplit(" ", 1) for row in done.stdout.splitlines())}


@needs_sample
def test_totals_of_a_real_log_equal_awk() -> None:
    """Requests, status classes, methods, bytes and requests per hour of 10,000 real lines equal a count by awk."""
    events = [(line.at_ms, event_of(line)) for line in lines_of(SAMPLE.read_bytes()) if isinstance(line, Line)]
    print_counts = "END {for (name in count) print name, count[name]}"
    assert {"all": len(events)} == awk('END {print "all", NR}')
    assert Counter(f"{event.status // 100}xx" for _, event in events) == awk(
        '{count[substr($9, 1, 1) "xx"]++}' + print_counts
    )
    assert Counter(event.method for _, event in events) == awk("{count[substr($6, 2)]++}" + print_counts)
    assert {"sum": sum(event.response_bytes for _, event in events)} == awk('{sum += $10} END {printf "sum %.0f", sum}')
    assert Counter(to_datetime(at).strftime("%d/%b/%Y:%H") for at, _ in events) == awk(
        "{count[substr($4, 2, 14)]++}" + print_counts
    )


@needs_sample
def test_ids_of_a_real_log_are_unique_and_repeatable() -> None:
    """The sample has many identical lines: each has its own id, and a second reading, gzipped, gives the same ids."""
    log = SAMPLE.read_bytes()
    ids = ids_of(log)
    again = ids_of(gzip.decompress(gzip.compress(log)))
    assert len(set(ids)) == len(ids) == 10_000
    assert again == ids


@needs_sample
def test_real_log_is_read_fast() -> None:
    """Reading keeps up with millions of lines: at least 50,000 a second even on a busy machine (300,000 on a quiet one)."""
    log = SAMPLE.read_bytes() * 5
    begin = time.process_time()
    count = sum(1 for _ in read_log(io.BytesIO(log)))
    assert count / (time.process_time() - begin) > 50_000
