"""How the operator's commands find their install: by the same environment as the application."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from calos_telemetry.errors import StoreError
from calos_telemetry.sdk.install import Install
from calos_telemetry.settings import Settings
from calos_telemetry.store.faults import sentence


@contextmanager
def opened_install(settings: Settings | None = None) -> Iterator[Install]:
    """Open the install that the environment names (``CALOS_HOME``), beside a running application or without one.

    Raises :class:`StoreError` where its database fails meanwhile.
    """
    install = Install(settings or Settings.from_environment())
    try:
        yield install
    except DBAPIError as error:
        raise StoreError(sentence(error)) from error
    finally:
        install.close()
