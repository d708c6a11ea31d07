"""The start page: five questions, each with a sentence, a chart and its table."""

from __future__ import annotations

from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from sqlalchemy import Connection

from calos_telemetry.server.analytics.errors import failures
from calos_telemetry.server.analytics.features import popular
from calos_telemetry.server.analytics.overview import overview
from calos_telemetry.server.analytics.performance import AT_LEAST, slow_routes
from calos_telemetry.server.analytics.period import Period
from calos_telemetry.server.analytics.traffic import per_day, per_hour
from calos_telemetry.server.dashboard import charts, words

PERIODS = (7, 30, 90)

_templates = Environment(
    loader=PackageLoader("calos_telemetry.server.dashboard"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {
    "amount": words.amount,
    "counted": words.counted,
    "duration": words.duration,
    "share": words.share,
    "day": words.day,
}
_templates.globals |= {"words": words, "charts": charts}


@dataclass(frozen=True, slots=True)
class Setup:
    """What an empty page says that an install needs to report here."""

    key: str
    url: str


def start_page(connection: Connection, period: Period, setup: Setup) -> str:
    """Render the start page."""
    return _templates.get_template("start.html").render(
        period=period,
        periods=PERIODS,
        setup=setup,
        at_least=AT_LEAST,
        total=overview(connection, period),
        days=per_day(connection, period),
        hours=per_hour(connection, period),
        features=popular(connection, period),
        routes=slow_routes(connection, period),
        failures=failures(connection, period),
    )


def refused_page(sentence: str) -> str:
    """Render the page of somebody who may not see the others."""
    return _templates.get_template("refused.html").render(sentence=sentence)
