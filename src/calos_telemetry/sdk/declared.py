"""The declarations of the host application: read from its file, joined with those of its code."""

from __future__ import annotations

from pathlib import Path

from calos_telemetry.contract.declarations import DeclarationError, Declarations

_LARGEST_FILE = 1 << 20


def read_declarations(file: Path | None, code: Declarations | None = None) -> Declarations | None:
    """Return the declarations of ``code`` and of ``file``, which wins; ``None`` where there are neither.

    Raises :class:`DeclarationError`, one sentence that names the file and what to change in it.
    """
    if file is None:
        return code
    read = Declarations.from_toml(_text(file), str(file))
    return read if code is None else code.with_all_of(read)


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > _LARGEST_FILE:
            raise DeclarationError(f"{file}: the declarations have more than 1 MiB. Make the file smaller.")
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DeclarationError(f"{file}: the declarations are not UTF-8. Save the file as UTF-8.") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DeclarationError(
            f"{file}: the declarations cannot be read ({reason}). Correct CALOS_DECLARATIONS."
        ) from None
