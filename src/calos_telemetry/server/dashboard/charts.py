"""Charts as inline SVG: no script, no request to anybody, colors from the page so that light and dark both fit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

import altair as alt
import vl_convert
from markupsafe import Markup

from calos_telemetry.server.analytics.features import PopularFeature
from calos_telemetry.server.analytics.performance import SlowRoute
from calos_telemetry.server.analytics.traffic import Day, Hour
from calos_telemetry.server.dashboard.words import duration

_WIDTH, _HEIGHT, _ROW = 480, 240, 28  # pixels of the whole drawing, which the page scales to its column
# A bar's name of more than 27 letters is cut in its middle; it stands whole in the table.
_CUT = "length(datum.label) > 27 ? slice(datum.label, 0, 13) + '…' + slice(datum.label, -13) : datum.label"
_ROOM = 1.22  # what the axis is longer than the longest bar, for the number at its end
_FONT, _SIZE = "system-ui, sans-serif", 13
_CLASSES = {
    "2xx": "var(--answered)",
    "3xx": "var(--moved)",
    "4xx": "var(--refused)",
    "5xx": "var(--failed)",
    "other": "var(--muted)",
}


def requests_per_day(days: Sequence[Day]) -> Markup:
    """Draw the requests of each day, stacked by status class."""
    rows = [
        {"date": day.date, "class": kind, "requests": value, "order": order}
        for day in days
        for order, (kind, value) in enumerate(_folded(day).items())
    ]
    shown = [kind for kind in _CLASSES if any(row["class"] == kind and row["requests"] for row in rows)]
    colors = alt.Scale(domain=shown, range=[_CLASSES[kind] for kind in shown])
    chart = _chart(rows, _HEIGHT, "Requests per day by status class")
    return _svg(
        chart.mark_bar().encode(
            x=alt.X(
                "date:T",
                timeUnit="utcyearmonthdate",
                axis=alt.Axis(title=None, format="%b %-d", tickCount=6, grid=False, labelOverlap=True),
            ),
            y=_amount("requests", "requests"),
            color=alt.Color("class:N", scale=colors, legend=alt.Legend(title=None, orient="top", symbolType="square")),
            order=alt.Order("order:Q"),
        )
    )


def requests_per_hour(hours: Sequence[Hour]) -> Markup:
    """Draw the requests of each hour of the day."""
    rows = [{"hour": hour.hour, "requests": hour.requests} for hour in hours]
    chart = _chart(rows, _HEIGHT, "Requests by hour of the day, UTC")
    hour = alt.X(
        "hour:O", axis=alt.Axis(title=None, labelAngle=0, values=[f"{number:02}" for number in range(0, 24, 3)])
    )
    return _svg(chart.mark_bar(color="var(--accent)").encode(x=hour, y=_amount("requests", "requests")))


def popular_features(features: Sequence[PopularFeature]) -> Markup:
    """Draw the uses of each feature."""
    rows = [{"name": one.feature, "value": one.uses, "text": f"{one.uses:,}"} for one in features]
    chart = _chart(rows, _ROW * len(rows) + 12, "Uses of each feature")
    return _ranking(chart, max(one.uses for one in features), "var(--accent)")


def slow_routes(routes: Sequence[SlowRoute]) -> Markup:
    """Draw the 95th percentile of each route."""
    rows = [{"name": f"{one.method} {one.path}", "value": one.p95_ms, "text": duration(one.p95_ms)} for one in routes]
    chart = _chart(rows, _ROW * len(rows) + 12, "95th percentile of the time to answer, in milliseconds")
    return _ranking(chart, max(one.p95_ms for one in routes), "var(--slow)")


def _ranking(chart: alt.Chart, longest: float, color: str) -> Markup:
    """Draw one horizontal bar for each row, in the order of the rows, with its value at its end."""
    name = alt.Y(
        "name:N",
        sort=None,
        axis=alt.Axis(title=None, domain=False, ticks=False, labelExpr=_CUT, labelLimit=0, labelPadding=6),
    )
    length = alt.X("value:Q", axis=None, scale=alt.Scale(domain=[0, longest * _ROOM or 1]))
    bars = chart.mark_bar(color=color, height=15, cornerRadiusEnd=3).encode(y=name, x=length)
    texts = chart.mark_text(align="left", dx=6, color="currentColor").encode(y=name, x=length, text="text:N")
    # The browser may set wider letters than those that were measured here: keep room for them.
    return _svg(alt.LayerChart(layer=[bars, texts], padding={"left": 30, "right": 5, "top": 5, "bottom": 5}))


def _chart(rows: Sequence[dict[str, object]], height: int, description: str) -> alt.Chart:
    data = alt.InlineData(values=list(rows))
    return alt.Chart(data).properties(width=_WIDTH, height=height, description=description)


def _amount(field: str, title: str) -> alt.Y:
    return alt.Y(
        f"{field}:Q",
        axis=alt.Axis(title=title, labelExpr="format(datum.value, '~s')", tickCount=4, tickMinStep=1, domain=False),
    )


def _folded(day: Day) -> dict[str, int]:
    folded = dict.fromkeys(_CLASSES, 0)
    for kind, value in day.classes.items():
        folded[kind if kind in _CLASSES else "other"] += value
    return folded


def _svg(chart: alt.TopLevelMixin) -> Markup:
    configured = chart.configure(
        background="transparent",
        autosize=alt.AutoSizeParams(type="fit", contains="padding"),  # one width for all, so one size of letters
        font=_FONT,
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelColor="currentColor",
            titleColor="currentColor",
            titleFontWeight="normal",
            labelFontSize=_SIZE,
            titleFontSize=_SIZE,
            gridColor="var(--line)",
            tickColor="var(--line)",
            domainColor="var(--line)",
        ),
        legend=alt.LegendConfig(labelColor="currentColor", labelFontSize=_SIZE),
        text=alt.MarkConfig(fontSize=_SIZE),
    )
    return Markup(_rendered(json.dumps(configured.to_dict(), sort_keys=True)))  # noqa: S704 - Vega escapes every text


@lru_cache(maxsize=64)
def _rendered(spec: str) -> str:
    return vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
