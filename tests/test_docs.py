"""README says what is so: its snippets run as they stand, and the commands, files and settings it names exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from calos_telemetry.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
HOST = "shop.example.com"


def blocks(language: str) -> list[str]:
    """Return README's code blocks of a language, in their order."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return found


FASTAPI, FLASK, LITESTAR, QUART, DJANGO, TRACK, LICENSE = blocks("python")

BEFORE_FASTAPI = """
@app.get("/sale/{number}")
async def sale(request: Request, number: int):
    error = ValueError("x")
    exec(compile(TRACK, "README", "exec"), globals() | locals())
"""
BEFORE_LITESTAR = """
from litestar import Request, get
from litestar.params import FromPath

@get("/sale/{number:int}")
async def sale(request: Request, number: FromPath[int]) -> None:
    error = ValueError("x")
    exec(compile(TRACK, "README", "exec"), globals() | locals())

app.register(sale)
"""
AFTER_ASGI = """
from starlette.testclient import TestClient
visitor = TestClient(app, base_url="http://shop.example.com")
operator = TestClient(app, base_url="http://localhost:8000", client=("127.0.0.1", 1))
assert visitor.get("/sale/7").headers["X-License-Tier"] == "community"
assert visitor.get("/api/telemetry/").status_code == 403
operator.post("/api/telemetry/flush")
summary = operator.get("/api/telemetry/summary").json()["summary"]
"""
AFTER_LICENSE = """
from starlette.testclient import TestClient
visitor, here = (TestClient(app, base_url=f"http://{host}", client=("127.0.0.1", 1)) for host in (HOST, "localhost"))
refused = visitor.get("/books")
assert refused.status_code == 403 and refused.json()["needs"] == {"tier": "pro"}, refused.text
assert here.get("/api/license").json()["license"]["tier"] == "community"
assert here.post("/api/license/clear").json()["success"]
assert visitor.get("/api/license").status_code == 403
assert brand.required and "Powered by CALOS" in brand.html
"""
AFTER_FLASK = """
from flask import request

@app.get("/sale/<int:number>")
def sale(number):
    error = ValueError("x")
    exec(compile(TRACK, "README", "exec"), globals() | locals())
    return ""

visitor = app.test_client()
assert visitor.get("/sale/7", base_url="http://shop.example.com", buffered=True).headers["X-License-Tier"] == "community"
assert visitor.get("/api/telemetry/", base_url="http://shop.example.com").status_code == 403
visitor.post("/api/telemetry/flush", base_url="http://localhost")
summary = visitor.get("/api/telemetry/summary", base_url="http://localhost").json["summary"]
"""
AFTER_QUART = """
import asyncio
from quart import request

@app.get("/sale/<int:number>")
async def sale(number):
    error = ValueError("x")
    exec(compile(TRACK, "README", "exec"), globals() | locals())
    return ""

async def visit():
    client, visitor, operator = app.test_client(), {"host": "shop.example.com"}, {"host": "localhost"}
    assert (await client.get("/sale/7", headers=visitor)).headers["X-License-Tier"] == "community"
    assert (await client.get("/api/telemetry/", headers=visitor)).status_code == 403
    here = {"scope_base": {"client": ("127.0.0.1", 1)}}
    await client.post("/api/telemetry/flush", headers=operator, **here)
    return await (await client.get("/api/telemetry/summary", headers=operator, **here)).get_json()

summary = asyncio.run(visit())["summary"]
"""
BEFORE_DJANGO = """
from django.conf import settings
settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__)
import django
django.setup()
from django.http import HttpResponse
from django.urls import include, path
"""
AFTER_DJANGO = """
settings.MIDDLEWARE = MIDDLEWARE

def sale(request, number):
    error = ValueError("x")
    exec(compile(TRACK, "README", "exec"), globals() | locals())
    return HttpResponse("")

urlpatterns += [path("sale/<int:number>", sale)]
from django.test import Client
visitor, operator = Client(headers={"host": "shop.example.com"}), Client(headers={"host": "localhost"})
assert visitor.get("/sale/7").headers["X-License-Tier"] == "community"
assert visitor.get("/api/telemetry/").status_code == 403
operator.post("/api/telemetry/flush")
summary = operator.get("/api/telemetry/summary").json()["summary"]
"""
CHECK = """
assert summary["featureUsage"] == [{"feature": "pos_transaction", "count": 1}], summary
assert [row["path"] for row in summary["performance"]] == ["/sale/:id"], summary
assert len(summary["errors"]) == 1, summary
"""


@pytest.mark.parametrize(
    "program",
    [
        FASTAPI + "from fastapi import Request\n" + BEFORE_FASTAPI + AFTER_ASGI,
        FLASK + AFTER_FLASK,
        LITESTAR + BEFORE_LITESTAR + AFTER_ASGI,
        QUART + AFTER_QUART,
        BEFORE_DJANGO + DJANGO + AFTER_DJANGO,
    ],
    ids=["FastAPI", "Flask", "Litestar", "Quart", "Django"],
)
def test_the_integrations_run_as_they_stand(tmp_path: Path, program: str) -> None:
    """Each snippet, with a view that tracks as README says, leads to a summary; a visitor does not get to see it."""
    run(tmp_path, f"TRACK = {TRACK!r}\n{program}{CHECK}")


def test_the_license_is_asked_as_it_stands(tmp_path: Path) -> None:
    """The snippet for licenses, in the FastAPI application of README: refused without one, and the operator is told."""
    run(tmp_path, f"HOST = {HOST!r}\n{FASTAPI}{LICENSE}{AFTER_LICENSE}")


def run(tmp_path: Path, program: str) -> None:
    """Run a program as an install of its own; it must end well."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CALOS_", "TELEMETRY_"))}
    env = {
        **clean,
        "CALOS_HOME": str(tmp_path),
        "CALOS_PUBLIC_HOST": HOST,
        "CALOS_LICENSE_SERVER": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_the_integrations_are_short() -> None:
    """No integration takes more than ten lines."""
    for snippet in (FASTAPI, FLASK, LITESTAR, QUART, DJANGO):
        assert len([line for line in snippet.split("\n") if line.strip()]) <= 10


def named_commands() -> list[list[str]]:
    """Return the words of every call of our command in README."""
    return [call.split() for call in re.findall(r"calos-telemetry ([a-z-]+[^\n`|>#]*)", README)]


@pytest.mark.parametrize("words", named_commands(), ids=" ".join)
def test_every_command_in_readme_exists(words: list[str]) -> None:
    """Commands and options that README shows are those there are."""
    command: click.Command = main
    rest = list(words)
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), rest.pop(0))
        assert found is not None, words
        command = found
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= options


def test_the_operators_commands_are_in_readme() -> None:
    """The commands that an operator needs first are shown."""
    shown = {words[0] for words in named_commands()}
    assert {"status", "summary", "report", "dictionary", "import-log", "license", "server"} <= shown <= set(COMMANDS)


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]), ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Relative links of every page lead to files that are there."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_make_target_in_readme_exists() -> None:
    """What README tells to make can be made."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z]+)", README)) <= targets


def test_the_proofs_that_are_named_exist() -> None:
    """Each claim about reports names tests that are there."""
    claims = (ROOT / "docs" / "reports.md").read_text()
    named = re.findall(r"`(tests/[\w/.]+)`", claims)
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []
