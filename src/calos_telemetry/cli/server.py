"""``calos-telemetry server``: set up and run the license server."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import click
import uvicorn

from calos_telemetry import private_files
from calos_telemetry.cli.courier import read_carried
from calos_telemetry.cli.migrate import migrate
from calos_telemetry.clock import MS_PER_DAY, date_of, now_ms
from calos_telemetry.contract.signing import encode_public
from calos_telemetry.errors import SettingsError
from calos_telemetry.server import keys
from calos_telemetry.server.app import create_app
from calos_telemetry.server.keys import VendorKeys
from calos_telemetry.server.store import open_store
from calos_telemetry.server.vendor import open_vendor
from calos_telemetry.server.verify.by_file import answer_file
from calos_telemetry.settings import ServerSettings

_WARN_DAYS = 14
_GRACE_SECONDS = 10


@click.group()
def server() -> None:
    """Set up and run the license server (vendor).  Keys and databases live under CALOS_SERVER_HOME."""


@server.command()
def init() -> None:
    """Make the vendor's keys and databases; repeating it changes nothing.

    Example: CALOS_SERVER_HOME=/var/lib/calos-server calos-telemetry server init
    """
    settings = ServerSettings.from_environment()
    home = settings.home
    fresh = not (home / "keyring.json").exists()
    made = keys.init(home, now_ms())
    open_store(settings).close()
    if fresh:
        click.echo(f"The vendor's keys are made in {home}.  Move {home / 'root.pem'} to a safe place offline.")
    else:
        click.echo(f"The vendor's keys are in {home} already: nothing was changed.")
    click.echo(f"The online keys hold until {date_of(made.valid_until)}.  Every install pins this key:")
    click.echo(f"CALOS_VENDOR_KEY={encode_public(made.root)}")


@server.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8700, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
def run(host: str, port: int) -> None:
    """Run the license server until SIGTERM or Ctrl-C.

    Example: calos-telemetry server run --host 0.0.0.0 --port 8700
    """
    app = create_app(ServerSettings.from_environment())
    _warn_about_keys(app.state.vendor.keys)
    listener = _listen(host, port)
    # No access log and no proxy headers: addresses of installs are not kept, and nobody names his own.
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    web = _Server(config, _url(host, listener))
    # Uvicorn hands a signal on after its graceful stop; that stop was the answer to it, so the command ends with 0.
    # A signal that comes before uvicorn listens to signals is kept in mind, too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: setattr(web, "should_exit", True))
    web.run(sockets=[listener])


@server.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Where to: FILE.answer by default.")
def answer(file: Path, output: Path | None) -> None:
    """Answer the FILE that an air-gapped install exported: lease and receipt, in one file.

    Example: calos-telemetry server answer request.json
    """
    vendor = open_vendor(ServerSettings.from_environment())
    try:
        content = answer_file(vendor, read_carried(file), now_ms())
    finally:
        vendor.close()
    target = output or file.with_name(f"{file.name}.answer")
    private_files.write(target, content)
    click.echo(f"{target} is the answer: the install takes it with `calos-telemetry import`")


server.add_command(migrate)


class _Server(uvicorn.Server):
    """Says where it listens once it does."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        click.echo(f"License server on {self._url} (Ctrl-C stops it)")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise SettingsError(f"cannot listen on {host} port {port} ({why}): choose another --port or --host") from None


def _url(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _warn_about_keys(held: VendorKeys) -> None:
    days = (held.valid_until - now_ms()) // MS_PER_DAY
    if days < _WARN_DAYS:
        click.echo(
            f"Warning: the online keys end on {date_of(held.valid_until)}: run `calos-telemetry keys rotate`.", err=True
        )
