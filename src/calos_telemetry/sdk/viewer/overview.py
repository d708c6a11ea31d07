"""The operator's page: what is collected, why, what left, and what came back; in plain HTML, without scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from calos_telemetry.clock import to_iso
from calos_telemetry.contract.events import UNMATCHED

if TYPE_CHECKING:
    from calos_telemetry.contract.declaration import Declaration
    from calos_telemetry.sdk.install import Install
    from calos_telemetry.sdk.report.ledger import Entry
    from calos_telemetry.sdk.telemetry import Telemetry

FLUSHED, VERIFIED, FAILED = "flushed", "verified", "not-verified"
_DONE = {
    FLUSHED: "Done: what was waiting is in the database now.",
    VERIFIED: "Done: the license was checked, and what was new has been sent. See the newest line of the list below.",
    FAILED: "The license could not be checked now. Nothing is lost and nothing changes: it is tried again by itself.",
}
_NOWHERE = "(addresses that lead nowhere)"
_HOURS = 24
_REPORTS = 10
_DIGITS = 12  # of a digest: enough to tell reports apart by eye
_HERE = Path(__file__).parent
_PAGE = Template((_HERE / "overview.html").read_text(encoding="utf-8"))
STYLESHEET = (_HERE / "style.css").read_text(encoding="utf-8")

_WHY_DROPPED = {
    "spool_full": "the waiting files had reached their limit",
    "disk_full": "the disk was full",
    "unwritable": "the directory could not be written",
    "oversize": "a record was too large",
    "policy": "telemetry was switched off",
    "torn": "cut off when a process was killed",
    "undecodable": "damaged on the disk",
}
_STATES = {
    "sealed": "ready, not answered yet",
    "acknowledged": "arrived, receipt signed",
    "refused": "refused by the vendor",
    "vetoed": "kept here for good, vetoed by the operator",
    "withdrawn": "kept here, a newer one took its place",
    "quarantined": "kept here, held back by the last check before sending",
}


def overview(telemetry: Telemetry, base: str, done: str = "") -> str:
    """Return the page as HTML; its links begin with ``base``, and ``done`` says which button led here."""
    install = telemetry.install
    summary = telemetry.summary(_HOURS)
    return _PAGE.substitute(
        base=escape(base.rstrip("/")),
        done=f'<section class="done" role="status">{_DONE[done]}</section>' if done in _DONE else "",
        install_id=escape(install.identity.install_id),
        policy=escape(_sentence(install.policy.store().reason)),
        notes="".join(_note(text) for text in (install.policy.note, install.policy.file.note, *telemetry.troubles())),
        explained=_table(("", ""), [(_sentence(one.topic).rstrip("."), one.text) for one in install.explain()]),
        license=_license(telemetry),
        books=_books(install),
        features=_table(("Function", "Uses"), _cells(summary["featureUsage"], "feature", "count")),
        routes=_table(
            ("Page", "Requests", "Average, ms"),
            [
                (_NOWHERE if row["path"] == UNMATCHED else row["path"], row["count"], row["avg_duration"])
                for row in summary["performance"]
            ],
        ),
        errors=_table(("Kind", "How often"), _cells(summary["errors"], "error_type", "count")),
        answers=_table(
            ("Method", "Status", "Requests", "Average, ms"),
            [
                (row["method"], str(row["status_code"]), row["count"], row["avg_duration"])
                for row in summary["apiStats"]
            ],
        ),
        declared=_declared(telemetry),
        **_sent(install, base.rstrip("/")),
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _note(text: str | None) -> str:
    return f'<p class="note">{escape(_sentence(text))}</p>' if text else ""


def _declared(telemetry: Telemetry) -> str:
    """Return what the application itself added to the list of what may be kept; nothing where it added nothing."""
    own = telemetry.declarations.own() if telemetry.declarations is not None else None
    if own is None or not (own.features or own.metadata):
        return ""
    rows = [(name, "function", purpose) for name, purpose in sorted(own.features.items())]
    rows += [(name, _kept_of(one), one.purpose) for name, one in sorted(own.metadata.items())]
    table = _table(("Name", "What is kept of it", "Why"), rows)
    return f"<section><h2>What the application added to the list</h2>{table}</section>"


def _kept_of(declaration: Declaration) -> str:
    return ", ".join(sorted(declaration.values)) or declaration.kind.value


def _license(telemetry: Telemetry) -> str:
    state = telemetry.license
    return f"<p>{escape(_sentence(state.reason))}</p>{_note(state.warning)}"


def _books(install: Install) -> str:
    books = install.books()
    numbers = {
        "noted down": books.recorded,
        "in the database": books.stored,
        "still waiting": books.pending,
        "given up": sum(books.dropped.values()),
    }
    shown = "".join(f"<div><dt>{name}</dt><dd>{number:,}</dd></div>" for name, number in numbers.items())
    reasons = "".join(
        f"<li>{number:,} given up: {escape(_WHY_DROPPED.get(reason, reason))}</li>"
        for reason, number in sorted(books.dropped.items())
        if number
    )
    return f"<dl>{shown}</dl>" + (f"<ul>{reasons}</ul>" if reasons else "")


def _sent(install: Install, base: str) -> dict[str, str]:
    entries = install.ledger.entries(limit=_REPORTS)
    rows = [
        (
            str(entry.number),
            to_iso(entry.sealed_at).replace("T", " ").removesuffix("Z"),
            "license check only" if entry.rows == 0 else f"{entry.rows:,} counts, {len(entry.body):,} bytes",
            _STATES.get(entry.state, entry.state),
            entry.digest[:_DIGITS],
            _details(entry, install),
        )
        for entry in entries
    ]
    heads = ("No.", "Made (UTC)", "What", "What became of it", "Fingerprint", "Details")
    return {"reports": _table(heads, rows), "new": _new(install), "proof": _proof(base) if entries else ""}


def _details(entry: Entry, install: Install) -> str:
    until = install.verifier.waits_until(entry)
    waits = f"to be read until {to_iso(until).replace('T', ' ').removesuffix('Z')}" if until else ""
    return "; ".join(filter(None, (waits, entry.outcome)))


def _new(install: Install) -> str:
    """Return what this version can send that the last report could not hold; nothing where that is nothing."""
    new = install.difference().new
    rows = [(f"{entry.group}.{entry.name}", entry.what, entry.why) for entry in new]
    table = _table(("Name", "What", "Why"), rows)
    return f"<h3>What this version can send that the last report could not</h3>{table}" if new else ""


def _proof(base: str) -> str:
    """Return how the newest report is checked by hand."""
    return (
        "<details><summary>Read and check the newest one yourself</summary>"
        f'<ul><li><a href="{escape(base)}/report">Download it</a> as it was sent; '
        "<code>gunzip -c report.json.gz</code> shows every word of it.</li>"
        f'<li><a href="{escape(base)}/receipt">Open its receipt</a>: '
        "<code>sha256sum report.json.gz</code> must print the fingerprint that the receipt names.</li>"
        "<li><code>calos-telemetry report check</code> checks every report and receipt there is; "
        "<code>calos-telemetry report evidence</code> writes them out so that <code>openssl</code> alone can.</li>"
        "</ul></details>"
    )


def _cells(rows: Iterable[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return '<p class="empty">Nothing yet.</p>'
    numbers = [all(isinstance(row[at], int | float | None) for row in rows) for at in range(len(heads))]
    marks = [' class="number"' if number else "" for number in numbers]
    head = "".join(f'<th scope="col"{mark}>{escape(name)}</th>' for name, mark in zip(heads, marks, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{mark}>{_cell(cell)}</td>" for cell, mark in zip(row, marks, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int | float) else escape(str(value))
