"""The two files that a person carries between an air-gapped install and the vendor.

They hold what would travel over the wire: the frozen request with the install's signature, and the signed answer, with the
keyring to check it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from calos_telemetry.contract.fields import INSTALL_ID
from calos_telemetry.contract.keys import SignedKeyring
from calos_telemetry.contract.report import MAX_WIRE, Purpose
from calos_telemetry.errors import ProtocolError

MAX_FILE = 2 * MAX_WIRE
_InstallId = Annotated[str, msgspec.Meta(pattern=INSTALL_ID)]


class Asking(StrEnum):
    """What the file asks for."""

    VERIFY = "verify"
    ERASE = "erase"

    @property
    def purpose(self) -> Purpose:
        """Return the context line of the install's signature."""
        return Purpose.EXPORTED_VERIFY if self is Asking.VERIFY else Purpose.EXPORTED_ERASE


class ExportFile(msgspec.Struct, frozen=True, kw_only=True, tag_field="file", tag="calos-export-v1"):
    """A request: ``body`` is the frozen bytes, base64url; the rest is what travels in headers otherwise."""

    asks: Asking
    install_id: _InstallId
    created: str
    nonce: str
    kid: str
    signature: str
    body: str


class AnswerFile(msgspec.Struct, frozen=True, kw_only=True, tag_field="file", tag="calos-answer-v1"):
    """The vendor's answer to the request with ``request_digest``: ``body`` word for word as it was signed."""

    asks: Asking
    install_id: _InstallId
    request_digest: str
    nonce: str
    body: str
    kid: str
    signature: str
    keyring: SignedKeyring


def write_courier(file: ExportFile | AnswerFile) -> bytes:
    """Return the bytes of the file: JSON, so that anybody can look into it."""
    return msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n"


def read_export(content: bytes) -> ExportFile:
    """Read an export.  Raises :class:`ProtocolError` in words."""
    found = _read(content)
    if not isinstance(found, ExportFile):
        raise ProtocolError("this file is an answer: it goes back to the install, which takes it with `import`")
    return found


def read_answer(content: bytes) -> AnswerFile:
    """Read an answer.  Raises :class:`ProtocolError` in words."""
    found = _read(content)
    if not isinstance(found, AnswerFile):
        raise ProtocolError("this file is an export: the vendor answers it with `server answer`, and sends the answer")
    return found


def _read(content: bytes) -> ExportFile | AnswerFile:
    try:
        return msgspec.json.decode(content, type=ExportFile | AnswerFile)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ProtocolError("this is no file of `export` or `server answer`, or it is damaged: copy it again") from None
