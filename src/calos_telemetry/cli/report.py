"""``calos-telemetry report``: the exact bytes of every report, and the proof of what became of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from calos_telemetry.cli.opening import opened_install
from calos_telemetry.cli.printing import as_json
from calos_telemetry.clock import to_iso
from calos_telemetry.contract.receipt import SignedReceipt
from calos_telemetry.contract.report import inflate
from calos_telemetry.contract.signing import b64decode, public_pem
from calos_telemetry.errors import CalosTelemetryError, SettingsError
from calos_telemetry.sdk.report.ledger import QUARANTINED, Entry

_RECIPE = """\
In {directory}, without any code of ours:
  sha256sum report.json.gz                 prints the fourth line of receipt.txt
  openssl pkeyutl -verify -pubin -inkey receipt-key.pem -rawin -in receipt.txt -sigfile receipt.sig
  gunzip -c report.json.gz                 shows what the report says"""


@click.group()
def report() -> None:
    """Show, save and check the reports of this install."""


@report.command(name="list")
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, newest first.")
def list_(in_json: bool, limit: int) -> None:
    """List the newest reports.

    Example: calos-telemetry report list
    """
    with opened_install() as install:
        entries = install.ledger.entries(limit=limit)
        waits = {entry.number: install.verifier.waits_until(entry) for entry in entries}
    if in_json:
        waiting = [{"waits_until": to_iso(waits[entry.number]) if waits[entry.number] else None} for entry in entries]
        click.echo(as_json([_described(entry) | more for entry, more in zip(entries, waiting, strict=True)]))
        return
    if not entries:
        click.echo("no report has been made yet: `calos-telemetry verify` makes and sends one")
    for entry in entries:
        size = f"{entry.rows} rows, {len(entry.body)} bytes"
        until = f"  to be read until {to_iso(waits[entry.number])}" if waits[entry.number] else ""
        click.echo(
            f"{entry.number:5}  {to_iso(entry.sealed_at)}  {entry.state:12}  {size}  sha256 {entry.digest}{until}"
        )


_FORMS = (
    click.option("--raw", "form", flag_value="raw", help="Write the frozen bytes (gzip) to standard output."),
    click.option("--pretty", "form", flag_value="pretty", help="Indent it for people."),
    click.option("--json", "form", flag_value="json", help="Print JSON: what is known about it, and what it says."),
)


def _with_forms(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_FORMS):
        command = option(command)
    return command


@report.command(name="next")
@_with_forms
def next_(form: str | None) -> None:
    """Print what would be sent now, byte for byte; nothing is sealed or sent.

    Of what is printed only the moment of sealing is another one when it goes, and whatever was recorded until then.

    Example: calos-telemetry report next --pretty
    """
    with opened_install() as install:
        entry = install.upcoming()
        fate = install.policy.send().reason if install.verifier.keys else "nothing is sent without CALOS_VENDOR_KEY"
        if until := install.verifier.waits_until(entry):
            fate += f"; it waits to be read until {to_iso(until)}"
    kind = f"a report of {entry.rows} rows" if entry.rows else "a license check without telemetry"
    if entry.state == QUARANTINED:
        fate = entry.outcome or fate
    click.echo(f"{kind}, {len(entry.body)} bytes, sha256 {entry.digest}; {fate}", err=True)
    _print(entry, form)


@report.command()
@click.argument("number", type=int)
@_with_forms
@click.option("--receipt", "form", flag_value="receipt", help="Print the text of the receipt, as it was signed.")
@click.option("--signature", "form", flag_value="signature", help="Print the signature of the receipt, base64url.")
def show(number: int, form: str | None) -> None:
    """Print what report NUMBER says, byte for byte.

    Example: calos-telemetry report show 3
    """
    with opened_install() as install:
        entry = install.ledger.entry(number)
    if entry is None:
        raise SettingsError(f"there is no report {number}: `calos-telemetry report list` names those there are")
    if form in {"receipt", "signature"}:
        click.echo(_part_of_receipt(entry, form), nl=False)
    else:
        _print(entry, form)


def _print(entry: Entry, form: str | None) -> None:
    plain = inflate(entry.body)
    match form:
        case "raw":
            sys.stdout.buffer.write(entry.body)
        case "pretty":
            click.echo(msgspec.json.format(plain, indent=2))
        case "json":
            click.echo(as_json({**_described(entry), "content": msgspec.Raw(plain)}))
        case _:
            click.echo(plain)


@report.command()
@click.argument("number", type=int)
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def veto(number: int, in_json: bool) -> None:
    """Keep report NUMBER, which waits, from the vendor for good (Enterprise); later ones begin behind it.

    Example: calos-telemetry report veto 3
    """
    with opened_install() as install:
        install.veto(number)
        entry = install.ledger.entry(number)
    assert entry is not None  # noqa: S101 - it was vetoed a moment ago
    click.echo(as_json(_described(entry)) if in_json else f"report {number} stays here: {entry.outcome}")


@report.command()
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def difference(in_json: bool) -> None:
    """Say which fields and counters this version can send that the last acknowledged report could not hold.

    Example: calos-telemetry report difference
    """
    with opened_install() as install:
        found = install.difference()
    if in_json:
        click.echo(as_json(found))
        return
    if found.since is None:
        click.echo("there is no acknowledged report to compare with: `calos-telemetry dictionary` lists all there is")
    elif not (found.new or found.gone):
        click.echo(f"nothing is new: report {found.since} could hold the same fields and counters")
    for entry in found.new:
        click.echo(f"+ {entry.group}.{entry.name}: {entry.what}; {entry.why}")
    for name in found.gone:
        click.echo(f"- {name}")


@report.command()
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def check(in_json: bool) -> None:
    """Check every number, digest, receipt and link of the chain; exit code 1 when one does not hold.

    Example: calos-telemetry report check
    """
    with opened_install() as install:
        findings = install.check_ledger()
    if in_json:
        click.echo(as_json(findings))
    elif not findings:
        click.echo("no report has been made yet: there is nothing to check")
    for finding in findings if not in_json else ():
        click.echo(("ok      " if finding.ok else "BROKEN  ") + finding.sentence)
    broken = sum(not finding.ok for finding in findings)
    if broken:
        raise CalosTelemetryError(f"{broken} of {len(findings)} findings do not hold: ask the vendor about them")


@report.command()
@click.argument("number", type=int)
@click.option("--to", "directory", type=click.Path(path_type=Path), required=True, help="The directory to write to.")
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def evidence(number: int, directory: Path, in_json: bool) -> None:
    """Write report NUMBER, its receipt and the vendor's key to a directory, to be checked without our code.

    Example: calos-telemetry report evidence 3 --to /tmp/evidence
    """
    with opened_install() as install:
        entry = install.ledger.entry(number)
        if entry is None or entry.receipt is None:
            raise SettingsError(f"there is no receipt for report {number}: `calos-telemetry report list` names them")
        key = install.receipt_key(entry.receipt)
    written = write_evidence(directory, "report.json.gz", entry.body, entry.receipt, key)
    content = {"directory": str(directory), "files": written}
    click.echo(as_json(content) if in_json else _RECIPE.format(directory=directory))


def write_evidence(directory: Path, name: str, body: bytes, receipt: SignedReceipt, key: Ed25519PublicKey) -> list[str]:
    """Write what a receipt is for, called ``name``, the receipt and the vendor's key to a directory; return the names."""
    files = {
        name: body,
        "receipt.txt": receipt.text.encode("ascii"),
        "receipt.sig": b64decode(receipt.signature),
        "receipt-key.pem": public_pem(key),
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for each, content in files.items():
            (directory / each).write_bytes(content)
    except OSError as error:
        raise SettingsError(f"{directory} cannot be written ({error.strerror}): give another one with --to") from None
    return list(files)


def _why_no_receipt(entry: Entry) -> str:
    if entry.rows == 0:
        return f"report {entry.number} is a license check without telemetry: there is no receipt for it"
    return f"report {entry.number} has no receipt: it is {entry.state}"


def _part_of_receipt(entry: Entry, what: str | None) -> str:
    if entry.receipt is None:
        raise SettingsError(_why_no_receipt(entry))
    return entry.receipt.text if what == "receipt" else entry.receipt.signature


def _described(entry: Entry) -> dict[str, object]:
    return {
        "number": entry.number,
        "sealed_at": to_iso(entry.sealed_at),
        "state": entry.state,
        "rows": entry.rows,
        "bytes": len(entry.body),
        "digest": entry.digest,
        "outcome": entry.outcome,
        "receipt": entry.receipt,
    }
