"""The operator's page: what is collected, why, what left, and what came back; in plain HTML, without scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from calos_telemetry.clock import to_iso

if TYPE_CHECKING:
    from calos_telemetry.sdk.install import Install
    from calos_telemetry.sdk.telemetry import Telemetry

_HOURS = 24
_HERE = Path(__file__).parent
_PAGE = Template((_HERE / "overview.html").read_text(encoding="utf-8"))
STYLESHEET = (_HERE / "style.css").read_text(encoding="utf-8")


def overview(telemetry: Telemetry, base: str) -> str:
    """Return the page as HTML; its links begin with ``base``."""
    install = telemetry.install
    summary = install.summary(_HOURS)
    return _PAGE.substitute(
        base=escape(base),
        install_id=escape(install.identity.install_id),
        policy=escape(install.policy.store().reason),
        note=_note(install.policy.note),
        license=_license(telemetry),
        books=_books(install),
        features=_table(("Feature", "Uses"), _cells(summary["featureUsage"], "feature", "count")),
        routes=_table(
            ("Route", "Average, ms", "Requests"), _cells(summary["performance"], "path", "avg_duration", "count")
        ),
        errors=_table(("Kind", "Failures"), _cells(summary["errors"], "error_type", "count")),
        answers=_table(
            ("Method", "Status", "Requests", "Average, ms"),
            _cells(summary["apiStats"], "method", "status_code", "count", "avg_duration"),
        ),
        reports=_reports(install),
    )


def _note(note: str | None) -> str:
    return f'<p class="note">{escape(note)}</p>' if note else ""


def _license(telemetry: Telemetry) -> str:
    state = telemetry.license
    warning = f'<p class="note">{escape(state.warning)}</p>' if state.warning else ""
    return f"<p>Tier <strong>{escape(state.tier)}</strong>: {escape(state.reason)}</p>{warning}"


def _books(install: Install) -> str:
    books = install.books()
    dropped = sum(books.dropped.values())
    why = ", ".join(f"{escape(reason)} {number:,}" for reason, number in sorted(books.dropped.items()))
    lost = f" ({why})" if why else ""
    return (
        f"<p>{books.recorded:,} recorded = {books.stored:,} stored + {dropped:,} dropped{lost}"
        f" + {books.pending:,} waiting in the spool</p>"
    )


def _reports(install: Install) -> str:
    rows = [
        (
            entry.number,
            to_iso(entry.sealed_at),
            entry.rows,
            f"{len(entry.body):,}",
            entry.digest,
            entry.state,
            entry.outcome or "",
        )
        for entry in install.ledger.entries(limit=10)
    ]
    return _table(("No.", "Sealed", "Rows", "Bytes", "SHA-256 of the bytes", "State", "What happened"), rows)


def _cells(rows: Iterable[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return '<p class="empty">Nothing yet.</p>'
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int | float) else escape(str(value))
