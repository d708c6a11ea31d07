"""A real access log through the whole path: import, summary, report, receipt, chart; nobody's address anywhere."""

import json
import re
import subprocess
import urllib.request
import zlib
from pathlib import Path

import pytest

from .conftest import HOST, Vendor, run

LOG = Path(__file__).resolve().parents[3] / "shared" / "data" / "traffic" / "apache_access.log"
needs_log = pytest.mark.skipif(not LOG.exists(), reason=f"the real access log is not beside the project: {LOG}")
SMALL = b"""\
203.0.113.9 - bob [25/Nov/2026:10:00:00 +0000] "GET /users/4711?token=s3cr3t HTTP/1.1" 200 120 "https://ref.example/x" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
203.0.113.9 - - [25/Nov/2026:10:00:00 +0000] "GET /users/4711?token=s3cr3t HTTP/1.1" 200 120 "-" "curl/8"
203.0.113.9 - - [25/Nov/2026:10:00:00 +0000] "GET /users/4711?token=s3cr3t HTTP/1.1" 200 120 "-" "curl/8"
this line is no log line
2001:db8::1 - - [25/Nov/2026:11:59:59 +0000] "POST /login HTTP/1.1" 500 - "-" "curl/8"
"""


def awk(program: str) -> str:
    return subprocess.run(["awk", program, str(LOG)], capture_output=True, check=True, text=True).stdout.strip()


def counter(home: str, name: str) -> dict[str, int]:
    """Read a counter as an operator would, with sqlite3."""
    query = f"select key, sum(value) from telemetry_aggregates where counter = '{name}' group by key"
    done = subprocess.run(
        ["sqlite3", "-json", f"{home}/telemetry.db", query], capture_output=True, check=True, text=True
    )
    return {row["key"]: row["sum(value)"] for row in json.loads(done.stdout or "[]")}


@needs_log
def test_totals_of_a_real_log_equal_those_of_awk(install_env: dict[str, str]) -> None:
    """Requests, status classes, bytes and hours of 10,000 real lines equal an independent count, and stay so when the
    same log is imported again."""
    home = install_env["CALOS_HOME"]
    done = json.loads(run("import-log", str(LOG), "--public-host", HOST, "--json", env=install_env))
    assert (done["lines"], done["new"] + done["malformed"], done["known"]) == (10_000, 10_000, 0)
    again = json.loads(run("import-log", str(LOG), "--public-host", HOST, "--json", env=install_env))
    assert (again["new"], again["known"]) == (0, done["new"])

    assert sum(counter(home, "requests").values()) == done["new"] == int(awk("END { print NR }")) - done["malformed"]
    classes = dict(
        line.split() for line in awk('{ n[int($9 / 100) "xx"]++ } END { for (c in n) print c, n[c] }').split("\n")
    )
    assert counter(home, "requests") == {name: int(number) for name, number in classes.items()}
    assert counter(home, "bytes_out")[""] == int(awk('$10 ~ /^[0-9]+$/ { b += $10 } END { printf "%.0f", b }'))
    hours = dict(
        line.split() for line in awk("{ n[substr($4, 14, 2)]++ } END { for (h in n) print h, n[h] }").split("\n")
    )
    assert counter(home, "hour") == {hour: int(number) for hour, number in hours.items()}


@needs_log
def test_a_real_log_reaches_the_vendors_chart_and_no_person_does(vendor: Vendor, install_env: dict[str, str]) -> None:
    """Imported as if it were of now, the log is summarised, reported, receipted and charted; no address, referrer, query
    or user agent string of it is in any file of either side."""
    with vendor.server() as url:
        env = {**install_env, "CALOS_LICENSE_SERVER": url}
        run("import-log", str(LOG), "--public-host", HOST, "--until", "now", env=env)
        summary = json.loads(run("summary", "--hours", "168", "--json", env=env))["summary"]
        assert sum(row["count"] for row in summary["apiStats"]) == 10_000
        outcome = json.loads(run("verify", "--json", env=env))
        assert outcome["ok"]
        assert outcome["rows"] > 100
        run("report", "check", env=env)
        page = urllib.request.urlopen(url + "/?days=7").read().decode()
        assert "<svg" in page
        assert "10,000" in page

    text = LOG.read_text(errors="replace")
    secrets = {
        *re.findall(r"^(\S+)", text, re.MULTILINE),
        *re.findall(r'"(https?://[^"]+)" "', text),
        *(agent for agent in re.findall(r'"([^"]+)"$', text, re.MULTILINE) if len(agent) > 20),
        *(query for query in re.findall(r'"[A-Z]+ [^" ]*\?([^" ]+) HTTP', text) if len(query) > 6),
    }
    assert len(secrets) > 2_000
    found = leaks(secrets, [Path(install_env["CALOS_HOME"]), vendor.home])
    assert not found, sorted(found)[:10]


def leaks(secrets: set[str], homes: list[Path]) -> set[str]:
    """Return the secrets that stand in any file below ``homes``, in gzip bodies too."""
    found: set[str] = set()
    for path in (path for home in homes for path in home.rglob("*") if path.is_file()):
        content = path.read_bytes()
        parts = [content]
        for match in re.finditer(rb"\x1f\x8b\x08", content):
            try:
                parts.append(zlib.decompressobj(31).decompress(content[match.start() :]))
            except zlib.error:
                continue
        for part in parts:
            plain = part.decode("latin-1")
            found |= {secret for secret in secrets if secret in plain}
    return found


def test_twins_count_twice_repeats_do_not_and_bad_lines_are_named(install_env: dict[str, str], tmp_path: Path) -> None:
    """Identical lines of one file are separate requests; a line that is no log line is reported by number; standard
    input, gzip and plain files give the same."""
    log = tmp_path / "access.log"
    log.write_bytes(SMALL)
    told = run("import-log", str(log), "--public-host", HOST, env=install_env)
    assert "5 lines: 4 new, 0 imported before, 1 left out" in told
    assert "line 4 is left out" in told
    told = run("import-log", "-", "--public-host", HOST, env=install_env, stdin=SMALL)
    assert "5 lines: 0 new, 4 imported before, 1 left out" in told
    assert not leaks({"203.0.113.9", "2001:db8::1", "s3cr3t", "ref.example", "4711"}, [Path(install_env["CALOS_HOME"])])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "directory"),
        (lambda path: path.write_bytes(b"\x1f\x8b\x08broken"), "gzip"),
        (lambda path: path.write_bytes(b"hello\nworld\n"), "none of 2 lines"),
    ],
)
def test_a_log_that_cannot_be_read_gets_one_clear_sentence(
    install_env: dict[str, str], tmp_path: Path, make: object, says: str
) -> None:
    """A missing, unreadable or foreign file ends the command with exit code 1 and one sentence, no traceback."""
    log = tmp_path / "given.log"
    make(log)  # type: ignore[operator]
    told = run("import-log", str(log), "--public-host", HOST, env=install_env, code=1)
    assert says in told
    assert "Traceback" not in told


def test_a_development_host_is_refused(install_env: dict[str, str], tmp_path: Path) -> None:
    """Nothing is collected for a development host, so its log is refused in words."""
    log = tmp_path / "access.log"
    log.write_bytes(SMALL)
    told = run("import-log", str(log), "--public-host", "localhost", env=install_env, code=1)
    assert "development host" in told
