"""obfuscate, explain and import-log: what is kept of a text, and why."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from .conftest import Operator

LINE = '203.0.113.7 - bob [25/Nov/2026:10:00:0{} +0000] "GET /users/4711 HTTP/1.1" 200 512 "-" "curl/8"\n'


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        ("path", "/api/users/4711/transactions/99?card=4111111111111111", "/api/users/:id/transactions/:id"),
        ("message", "login failed for bob@acme.example", "login failed for [EMAIL]"),
        ("metadata", '{"status": "completed", "note": "for bob"}', '{"status": "completed"}'),
        ("metadata", "no json", "[REDACTED]"),
        ("metadata", "[" * 100_000, "[REDACTED]"),
    ],
)
def test_obfuscate_prints_what_is_kept(operator: Operator, kind: str, given: str, kept: str) -> None:
    """One item a line in, one result a line out."""
    assert operator.run("obfuscate", "--kind", kind, stdin=f"{given}\n{given}\n") == f"{kept}\n" * 2


def test_obfuscate_hashes_a_user_with_the_installs_own_secret(operator: Operator, tmp_path: Path) -> None:
    """The same user is the same hash in one install, and another one in another install."""
    mine = [operator.run("obfuscate", "--kind", "user", stdin="alice\n") for _ in range(2)]
    other = operator.run("obfuscate", "--kind", "user", stdin="alice\n", CALOS_HOME=str(tmp_path / "other"))
    assert mine[0] == mine[1] != other
    assert len(mine[0].strip()) == 16


def test_explain_names_the_rule_and_the_reason(operator: Operator) -> None:
    """Each change of a message is shown with its place, its rule and why; from an argument or from lines."""
    message = "login failed for bob@acme.example"
    printed = operator.run("explain", message)
    assert printed.startswith("login failed for [EMAIL]\n")
    assert "17-33 [EMAIL] by rule" in printed
    assert operator.run("explain", stdin=message + "\n") == printed


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        ("path", "/users/Maria/orders/4711?card=4", ["/users/:id/orders/:id", "Maria -> :id: a name", "4711 -> :id: no word", "query"]),
        ("path", "/" + "orders/" * 30, ["of 30 segments"]),
        ("email", "bob@acme.example", ["other", "any other domain is a name"]),
        ("email", "bob@gmail.com", ["gmail.com", "is nobody's"]),
        ("metadata", '{"status": "completed", "note": "for bob", "amount": 5}', ["note is dropped", "amount is [REDACTED]"]),
        ("metadata", "no json", ["[REDACTED]", "no JSON object"]),
        ("stack", 'Traceback (most recent call last):\\n  File "/home/bob/till.py", line 3, in sell\\nValueError: bob@acme.example', ["ValueError: [EMAIL]", "by rule email", "places: "]),
        ("user", "alice", ["HMAC-SHA-256"]),
    ],
)  # fmt: skip
def test_explain_says_why_for_every_kind(operator: Operator, kind: str, given: str, told: list[str]) -> None:
    """The first line is what ``obfuscate`` prints for the same item; the reasons follow, one a line."""
    first, *reasons = operator.run("explain", "--kind", kind, given).splitlines()
    assert operator.run("obfuscate", "--kind", kind, stdin=f"{given}\n") == f"{first}\n"
    assert all(reason.startswith("  ") for reason in reasons)
    for words in told:
        assert words in "\n".join([first, *reasons])


def test_both_commands_know_the_applications_declarations(operator: Operator, tmp_path: Path) -> None:
    """A key that the file declares is kept, as it is in the running application."""
    file = tmp_path / "declarations.toml"
    file.write_text('[metadata.floorplan]\nvalues = ["round"]\npurpose = "which are drawn"\n')
    for command in (["obfuscate"], ["explain"]):
        given = '{"floorplan": "round"}'
        printed = operator.run(*command, "--kind", "metadata", stdin=given + "\n", CALOS_DECLARATIONS=str(file))
        assert printed == given + "\n"


@pytest.mark.parametrize("command", [["explain"], ["obfuscate", "--kind", "message"]])
def test_bytes_that_are_no_text_are_read_all_the_same(operator: Operator, command: list[str]) -> None:
    """What is not UTF-8 does not stop the command."""
    import subprocess  # noqa: PLC0415 - bytes, not text

    from .conftest import COMMAND  # noqa: PLC0415

    done = subprocess.run(
        [COMMAND, *command], env=operator.env, input=b"caf\xe9 \xff\n", capture_output=True, check=True
    )
    assert done.stdout.count(b"\n") == 1


def imported(operator: Operator, *arguments: str) -> dict[str, object]:
    found: dict[str, object] = operator.json("import-log", *arguments, "--public-host", "shop.example.com")
    return found


def test_a_log_is_imported_once(operator: Operator, tmp_path: Path) -> None:
    """Lines become events, a repeat adds none, and what is no line is told with its number."""
    log = tmp_path / "access.log"
    log.write_text("".join(LINE.format(second) for second in range(3)) + "no line\n")
    first = imported(operator, str(log))
    assert (first["lines"], first["new"], first["known"], first["malformed"]) == (4, 3, 0, 1)
    again = imported(operator, str(log))
    assert (again["new"], again["known"]) == (0, 3)
    assert "line 4 is left out" in operator.run("import-log", str(log), "--public-host", "shop.example.com")
    summary = operator.json("summary", "--hours", "80000")["summary"]
    assert [(row["path"], row["count"]) for row in summary["performance"]] == [("/users/:id", 3)]


def test_a_log_on_standard_input_and_gzipped(operator: Operator, tmp_path: Path) -> None:
    """A pipe and a compressed file are read as well."""
    printed = operator.run("import-log", "-", "--public-host", "shop.example.com", "--json", stdin=LINE.format(1))
    assert json.loads(printed)["new"] == 1
    packed = tmp_path / "access.log.gz"
    packed.write_bytes(gzip.compress(LINE.format(2).encode()))
    assert imported(operator, str(packed))["new"] == 1


def test_logs_that_cannot_be_read_are_one_sentence(operator: Operator, tmp_path: Path) -> None:
    """A missing log, a directory, a development host and a second reading of standard input are refused in words."""
    host = ("--public-host", "shop.example.com")
    assert "missing.log" in operator.complaint("import-log", str(tmp_path / "missing.log"), *host)
    assert str(tmp_path) in operator.complaint("import-log", str(tmp_path), *host)
    assert "give a file" in operator.complaint("import-log", "-", "--until", "now", *host)
    log = tmp_path / "access.log"
    log.write_text(LINE.format(1))
    assert "localhost" in operator.complaint("import-log", str(log), "--public-host", "localhost")


def test_a_trace_in_a_file_is_one_item(operator: Operator) -> None:
    """With --whole the lines of a trace stay together; without it a line that ends like Windows' is the same line."""
    trace = 'Traceback (most recent call last):\n  File "/home/bob/till.py", line 3, in sell\nValueError: bob@acme.example\n'
    assert operator.run("obfuscate", "--kind", "stack", "--whole", stdin=trace) == "ValueError: [EMAIL]\ntill:sell:3\n"
    assert operator.run("obfuscate", "--kind", "user", stdin="7\r\n") == operator.run(
        "obfuscate", "--kind", "user", stdin="7\n"
    )
