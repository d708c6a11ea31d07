"""The operator's policy file as it is now: read when it changes, and obeyed as far as the tier goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from calos_telemetry.contract.tiers import Telemetry, Tier, terms_of
from calos_telemetry.errors import SettingsError
from calos_telemetry.sdk.policy.restrictions import Restrictions
from calos_telemetry.settings import Settings

_NEVER = object()


class FilePolicy:
    """What the file takes away (``restrictions``, ``None`` for nothing) and how long reports wait (``review_hours``).

    ``note`` says in words what of the file is not obeyed, or why it cannot be used.
    """

    def __init__(self, settings: Settings, proven: Tier) -> None:
        """``proven`` is the tier that a license key proves offline; it decides whether whole categories may be dropped."""
        self.path = _path(settings)
        self.restrictions: Restrictions | None = None
        self.review_hours = settings.review_hours
        self.note: str | None = None
        self._settings = settings
        self._proven = proven
        self._stamp: object = _NEVER
        self.refresh()

    @property
    def may_veto(self) -> bool:
        """Whether the operator may keep whole categories and whole reports from the vendor."""
        return terms_of(self._proven).telemetry is Telemetry.OPTIONAL

    def changed(self) -> bool:
        """Whether the file is another one than at the last look; microseconds."""
        return self._stamp != _stamp(self.path)

    def refresh(self, proven: Tier | None = None) -> None:
        """Read the file again if it has changed, or if another tier is ``proven`` now."""
        stamp = _stamp(self.path)
        if stamp == self._stamp and proven in {None, self._proven}:
            return
        self._stamp, self._proven = stamp, proven or self._proven
        if stamp is None and self._settings.policy is None:
            self.restrictions, self.review_hours, self.note = None, self._settings.review_hours, None
        else:
            self._read()

    def _read(self) -> None:
        """Read the file; one that cannot be used counts as one that takes away all that the tier allows."""
        from calos_telemetry.sdk.policy import file  # noqa: PLC0415 - most installs have none

        note = None
        try:
            said = file.read_policy_file(self.path)
            if said.restrictions.categories and not self.may_veto:
                note = (
                    f"{self.path}: categories has no effect: it needs a license key that proves the Enterprise tier"
                    f" offline, and this install proves {self._proven.value}"
                )
        except SettingsError as error:
            said = file.STRICTEST
            note = f"{error}; until it is corrected as little is kept and sent as the {self._proven.value} tier allows"
        obeyed = said.restrictions if self.may_veto else replace(said.restrictions, categories=frozenset())
        self.restrictions, self.note = None if obeyed == Restrictions() else obeyed, note
        self.review_hours = max(said.review_hours, self._settings.review_hours)


def has_policy_file(settings: Settings) -> bool:
    """Whether there is a policy file, or one is named that should be there."""
    return settings.policy is not None or _stamp(_path(settings)) is not None


def _path(settings: Settings) -> Path:
    return settings.policy or settings.home / "policy.toml"


def _stamp(path: Path) -> object:
    """Return what tells one state of a file from another; ``None`` where there is no such file."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # a directory that may not be entered is no directory without the file
        return error.errno
    return found.st_mtime_ns, found.st_size, found.st_ino
