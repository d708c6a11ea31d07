"""Names that the application gives: features, exception classes.  Only the catalogue's alphabet gets through."""

from __future__ import annotations

import re

from calos_telemetry.contract.fields import MAX_NAME
from calos_telemetry.sdk.obfuscate.messages import obfuscate_message

_FOREIGN = re.compile(r"[^\w.:/-]+")
_UNNAMED = "unnamed"


def feature_name(name: object) -> str:
    """Return ``name`` with everything outside letters, digits and ``_.:/-`` replaced by ``_``, at most 120 characters.

    A name that holds a secret (an e-mail, a token) is scrubbed like any text before it is used.
    """
    if type(name) is not str:
        return _UNNAMED
    cleaned = _FOREIGN.sub("_", obfuscate_message(name)).strip("_")
    return cleaned[:MAX_NAME] or _UNNAMED
