"""What a view needs of the license: served or 403 in words, in every framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from calos_telemetry.errors import LicenseError, SettingsError
from calos_telemetry.license import current_license, require_feature, require_tier
from calos_telemetry.sdk.requirements import Requirement
from tests.sdk.license.far_side import FarSide

from .conftest import HOST
from .licensed import SHOPS, Make

LOCAL = "localhost:8000"
TIERS = ("community", "pro", "enterprise")
NEEDS = {
    "pro": (require_tier("pro"), {"pro", "enterprise"}),
    "enterprise": (require_tier("enterprise"), {"enterprise"}),
    "multi_domain": (require_feature("multi_domain"), {"pro", "enterprise"}),
    "api_access": (require_feature("api_access"), {"enterprise"}),
    "nothing sold": (require_feature("nothing_sold"), set[str]()),
}


def refusal_in(content: Any) -> dict[str, Any]:
    """Return what a 403 says; FastAPI puts it under ``detail``, Litestar under ``extra``, as they do with their own."""
    found: dict[str, Any] = content
    if "status_code" in content:
        found = content["extra"]
    elif "detail" in content:
        found = content["detail"]
    return found


@pytest.mark.parametrize("framework", SHOPS)
@pytest.mark.parametrize("tier", TIERS)
def test_a_view_is_served_where_the_license_brings_what_it_needs(framework: str, tier: str, licensed: Make) -> None:
    """In every framework, sync and async: served with the tier (or a higher one) or the feature, and 403 without; the
    body says what is needed, what the install has and what to do, and never the license key."""
    telemetry = licensed(tier)
    for name, (needs, enough) in NEEDS.items():
        ask = SHOPS[framework](telemetry, needs)
        for path in ("/sync", "/async"):
            status, _, content = ask(path, HOST)
            assert status == (200 if tier in enough else 403), (name, path, content)
            if status == 403:
                refusal = refusal_in(content)
                assert refusal["success"] is False
                assert name.split()[0] in refusal["error"]
                assert next(iter(refusal["needs"].values())).startswith(name.split()[0])
                assert refusal["has"]["tier"] == tier
                assert "CALOS_LICENSE_KEY" in refusal["to_do"]
                assert "BEGIN" not in json.dumps(content)


@pytest.mark.parametrize("framework", [name for name in SHOPS if "without" not in name])
def test_a_development_host_has_everything(framework: str, licensed: Make) -> None:
    """Without a configured host the request's own decides: on localhost each view is served and the headers say so;
    for a visitor of the same process they say community."""
    ask = SHOPS[framework](licensed("community", public_host=None), require_feature("anything"))
    for path in ("/sync", "/async"):
        status, headers, _ = ask(path, LOCAL)
        assert (status, headers["x-license-tier"]) == (200, "development")
        assert headers["x-license-allow-white-label"] == "true"
        status, headers, _ = ask(path, HOST)
        assert (status, headers["x-license-tier"]) == (403, "community")


@pytest.mark.parametrize("framework", [name for name in SHOPS if "without" not in name])
def test_a_visitors_header_opens_nothing(framework: str, licensed: Make) -> None:
    """With a configured public host, no Host header makes a development host of it."""
    ask = SHOPS[framework](licensed("community"), require_tier("pro"))
    status, headers, _ = ask("/sync", LOCAL)
    assert (status, headers["x-license-tier"]) == (403, "community")


def test_a_configured_development_host_has_everything(licensed: Make) -> None:
    """With and without the middleware, in and outside of requests."""
    telemetry = licensed("community", public_host="localhost")
    for framework in ("starlette", "starlette, without the middleware"):
        assert SHOPS[framework](telemetry, require_tier("enterprise"))("/sync", "localhost")[0] == 200
    assert current_license().tier == "development"
    assert require_tier("enterprise")(lambda: "done")() == "done"


def test_outside_any_request_the_license_key_decides(licensed: Make) -> None:
    """A guarded function of a job is called, or raises what a framework or a person understands."""
    licensed("pro")
    assert require_tier("pro")(lambda: "done")() == "done"
    with pytest.raises(Exception, match="enterprise") as raised:
        require_tier("enterprise")(lambda: "done")()
    assert getattr(raised.value, "status_code", None) == 403


def test_without_any_framework_the_error_is_our_own() -> None:
    """Where no web framework is loaded a guarded function raises a sentence; without a Telemetry it is community."""
    code = """
from calos_telemetry.errors import LicenseError
from calos_telemetry.license import current_license, require_tier
assert "create one" in current_license().warning
try:
    require_tier("pro")(lambda: None)()
except LicenseError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("this needs the tier pro, and the license of this install is community: set CALOS_")


@pytest.mark.parametrize("tier", ["enterprize", "", "community", "development", None])
def test_a_tier_that_nobody_can_buy_is_refused_at_the_decorator(tier: Any) -> None:
    """A typing mistake is found when the application starts, not by a visitor."""
    with pytest.raises(SettingsError, match='"pro" or "enterprise"'):
        require_tier(tier)


def test_a_class_is_refused_in_words() -> None:
    """A class has several views: the sentence says where the requirement goes."""
    with pytest.raises(SettingsError, match="methods"):
        require_tier("pro")(dict)


def test_a_guarded_view_looks_like_the_view() -> None:
    """Name, documentation and signature stay: frameworks and schemas read them."""

    def view(number: int) -> str:
        """Say it."""
        return str(number)

    guarded = require_feature("api_access")(view)
    assert (guarded.__name__, guarded.__doc__, guarded.__annotations__) == ("view", "Say it.", view.__annotations__)
    assert isinstance(require_feature("x"), Requirement)
    assert issubclass(LicenseError, Exception)


@pytest.mark.parametrize("stack", ["sync", "async"])
@pytest.mark.parametrize("tier", TIERS)
def test_django_serves_or_refuses(tier: str, stack: str, tmp_path: Path, issuer: FarSide) -> None:
    """Functions and class-based views, sync and async, under both stacks; template and context processor for the brand."""
    settings = issuer.settings(tmp_path, tier)
    env = {
        **os.environ,
        "CALOS_HOME": str(tmp_path),
        "CALOS_PUBLIC_HOST": HOST,
        "CALOS_LICENSE_SERVER": settings.server,
    }
    env |= {"CALOS_VENDOR_KEY": settings.vendor_key or "", "CALOS_LICENSE_KEY": settings.license_key or ""}
    shop = Path(__file__).with_name("licensed_django.py")
    done = subprocess.run(
        [sys.executable, "-W", "error", shop, stack], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    wanted = 200 if tier == "enterprise" else 403
    for path in ("/sync", "/async", "/class", "/class/async", "/dispatch", "/helped"):
        assert answers[path]["status"] == wanted, (path, answers[path])
        assert answers[path]["headers"]["X-License-Tier"] == tier
        if wanted == 403:
            assert json.loads(answers[path]["body"])["needs"] == {"tier": "enterprise"}
    brand = '<span class="calos-branding"><a href="https://calos.sh">Caf&#xe9; &amp; CALOS</a></span>'.replace(
        "&#xe9;", "é"
    )
    assert answers["/page"]["body"] == f"<footer>{brand if tier == 'community' else ''}</footer>"
