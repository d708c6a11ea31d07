"""The vendor's brand: there for community, gone for everybody else, and safe in every template."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from flask import Flask, render_template_string
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import DictLoader, Environment
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates
from starlette.testclient import TestClient

from calos_telemetry import LicenseMiddleware
from calos_telemetry.errors import SettingsError
from calos_telemetry.license import Branding
from calos_telemetry.sdk.license.attached import LICENSE, attached
from calos_telemetry.sdk.license.state import community
from calos_telemetry.sdk.middleware.flask import init_flask

from .conftest import HOST
from .licensed import Make

PAGE = "<footer>{{ branding }}</footer>{% if branding %}!{% endif %}"
SHOWN = '<footer><span class="calos-branding">Powered by CALOS</span></footer>!'
HIDDEN = "<footer></footer>"


@pytest.mark.parametrize(("tier", "required"), [("community", True), ("pro", False), ("enterprise", False)])
def test_it_is_required_for_community_alone(licensed: Make, tier: str, required: bool) -> None:
    """Outside requests the license key decides; where the brand need not be shown, text and HTML are empty."""
    licensed(tier)
    brand = Branding("Powered by <Shop>", "https://shop.example.com/?a=1&b=2")
    assert brand.required is required
    assert brand.text == ("Powered by <Shop>" if required else "")
    shown = '<a href="https://shop.example.com/?a=1&amp;b=2">Powered by &lt;Shop&gt;</a>'
    assert brand.html == (f'<span class="calos-branding">{shown}</span>' if required else "")


def test_each_request_has_its_own_answer(licensed: Make) -> None:
    """In a template of Starlette, by context processor: a visitor sees the brand, a development host does not."""
    templates = Jinja2Templates(env=Environment(loader=DictLoader({"page": PAGE}), autoescape=True))
    templates.context_processors.append(Branding().context)

    def page(request: Request) -> Response:
        return templates.TemplateResponse(request, "page")

    app = Starlette(routes=[Route("/", page)])
    app.add_middleware(LicenseMiddleware, telemetry=licensed("community", public_host=None))
    client = TestClient(app)
    assert client.get("/", headers={"host": HOST}).text == SHOWN
    assert client.get("/", headers={"host": "localhost"}).text == HIDDEN


@pytest.mark.parametrize(("tier", "page"), [("community", SHOWN), ("pro", HIDDEN)])
def test_flask_takes_it_as_a_context_processor(licensed: Make, tier: str, page: str) -> None:
    """Flask escapes what it is given, and leaves the brand as it is."""
    app = Flask(__name__)
    init_flask(app, licensed(tier))
    app.context_processor(Branding().context)
    app.add_url_rule("/", view_func=lambda: render_template_string(PAGE))
    assert app.test_client().get("/", base_url=f"http://{HOST}").text == page


class _Reader(HTMLParser):
    """Notes the tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


@given(
    text=st.text(st.characters(categories=["L", "P", "S", "N"]), min_size=1), tail=st.text("ab<>\"'&; ", max_size=20)
)
def test_no_text_and_no_link_gets_out_of_its_place(text: str, tail: str) -> None:
    """Whatever the product is called and linked to: a browser sees one span, one link, and exactly that text."""
    reader = _Reader()
    token = attached.set({LICENSE: community()})
    reader.feed(Branding(text, f"https://{tail}").html)
    attached.reset(token)
    reader.close()
    assert reader.tags == [("span", {"class": "calos-branding"}), ("a", {"href": f"https://{tail}"})]
    assert reader.words == text


@pytest.mark.parametrize("url", ["javascript:alert(1)", "", "//shop.example.com", "data:text/html,x"])
def test_a_link_that_is_no_web_address_is_refused(url: str) -> None:
    """A script is no address."""
    with pytest.raises(SettingsError, match="web address"):
        Branding("Shop", url)


@pytest.mark.parametrize("text", ["", "  "])
def test_a_brand_without_a_text_is_refused(text: str) -> None:
    """Nobody can read it."""
    with pytest.raises(SettingsError, match="text"):
        Branding(text)
