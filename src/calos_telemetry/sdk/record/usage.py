"""Which feature a request used, where the application did not say it by hand: by mark, by prefix, by tag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from calos_telemetry.contract.fields import MAX_NAME
from calos_telemetry.sdk.obfuscate.names import feature_name
from calos_telemetry.sdk.record.facts import RequestFacts

_REMEMBERED = 4_096


class UsedFeatures:
    """Answers for each request; ``prefixes`` maps a prefix of a route template to the feature behind it.

    A route's tag counts where a feature of that name is declared, or with ``any_tag``.
    """

    def __init__(self, prefixes: Mapping[str, str], declared: Iterable[str], *, any_tag: bool = False) -> None:
        self._prefixes = sorted(prefixes.items(), key=lambda item: -len(item[0]))
        self._declared = frozenset((*prefixes.values(), *declared))
        self._any_tag = any_tag
        self._by_path: dict[str, str | None] = {}
        self._names: dict[str, str] = {}
        self.reads_tags = any_tag or bool(self._declared)

    def of(self, path: str, facts: RequestFacts) -> str | None:
        """Return the feature of a request with the template ``path``: the mark wins over the prefix over the tag."""
        return facts.feature or self._by_prefix(path) or (self._by_tag(facts.tags) if facts.tags else None)

    def _by_prefix(self, path: str) -> str | None:
        if not self._prefixes:
            return None
        if path not in self._by_path and len(self._by_path) < _REMEMBERED:
            self._by_path[path] = next((name for prefix, name in self._prefixes if path.startswith(prefix)), None)
        return self._by_path.get(path)

    def _by_tag(self, tags: Iterable[object]) -> str | None:
        for tag in tags:
            name = getattr(tag, "value", tag)  # FastAPI takes enumerations too
            if type(name) is str and (self._any_tag or name in self._declared):
                return self.cleaned(name)
        return None

    def cleaned(self, name: object) -> str:
        """Return the name of a feature as it is recorded; remembered, because scrubbing a text costs microseconds."""
        if type(name) is not str:
            return feature_name(name)
        cleaned = self._names.get(name)
        if cleaned is None:
            cleaned = feature_name(name)
            if len(self._names) < _REMEMBERED and len(name) <= MAX_NAME:
                self._names[name] = cleaned
        return cleaned
