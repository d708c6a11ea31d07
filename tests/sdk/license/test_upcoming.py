"""What would be sent now: shown byte for byte, and nothing is sealed, withdrawn or sent by looking."""

from __future__ import annotations

import msgspec
from tests.sdk.license.far_side import BOOKS, NearSide, down
from tests.sdk.license.test_answers import secret_row

from calos_telemetry.contract.report import VerifyRequest, inflate
from calos_telemetry.sdk.report.ledger import Entry
from calos_telemetry.store.tables import features


def upcoming(near: NearSide, *, with_telemetry: bool = True) -> Entry:
    """Look, and make sure that looking left no trace."""
    before, sent = near.ledger.entries(), len(near.wire.sent)
    entry = near.verifier.upcoming(with_telemetry=with_telemetry, books=BOOKS)
    assert near.ledger.entries() == before
    assert len(near.wire.sent) == sent
    return entry


def test_what_is_shown_is_what_goes(near: NearSide) -> None:
    """A report with news, then a check without: at the same moment the same bytes go, under the number that was shown."""
    for _ in range(2):
        shown = upcoming(near)
        assert near.verify().ok
        assert near.wire.sent[-1][0] == shown.body
        assert near.ledger.entry(shown.number) is not None
    assert near.ledger.entries()[0].rows == 0


def test_what_waits_is_shown_as_it_waits(near: NearSide) -> None:
    """A report that was sealed and not answered goes again byte for byte, whatever happened since."""
    near.wire.faults = [down]
    near.verify()
    near.use("forum")
    assert upcoming(near) == near.ledger.entry(1)


def test_without_telemetry_a_check_is_shown(near: NearSide) -> None:
    """Where telemetry may not be sent, what is shown holds none, even while a report waits."""
    near.wire.faults = [down]
    near.verify()
    entry = upcoming(near, with_telemetry=False)
    assert msgspec.json.decode(inflate(entry.body), type=VerifyRequest).telemetry is None


def test_what_the_exit_gate_would_keep_is_not_shown_as_leaving(near: NearSide) -> None:
    """With a row that may not leave, the report without it is shown: the very one that goes, with its number."""
    near.plant(features, secret_row())
    shown = upcoming(near)
    assert shown.number == 2
    assert b"@" not in inflate(shown.body)
    near.verify()
    assert near.wire.sent[0][0] == shown.body
