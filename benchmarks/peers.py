"""What other tools make of the same texts, paths and metadata: each as its own documentation says, without a network.

A peer that is not installed raises ``ImportError`` when it is made; the benchmark says so and goes on.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

Text = Callable[[str], str]
Metadata = Callable[[dict[str, Any]], Any]


def presidio() -> Text:
    """Make Presidio's default recognizers on blank spaCy: no model is on the package index, so no PERSON and LOCATION."""
    import spacy
    import tldextract
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import SpacyNlpEngine
    from presidio_anonymizer import AnonymizerEngine

    class Blank(SpacyNlpEngine):  # type: ignore[misc]
        def load(self) -> None:
            self.nlp = {"en": spacy.blank("en")}

    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())  # its snapshot; by default it asks the network
    engine = Blank()
    engine.load()
    analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])
    anonymizer = AnonymizerEngine()

    def redact(text: str) -> str:
        found = analyzer.analyze(text, language="en", score_threshold=0.4)
        return str(anonymizer.anonymize(text, found).text)

    return redact


def scrubadub() -> Text:
    """Make scrubadub's default detectors."""
    import scrubadub as package

    scrubber = package.Scrubber()
    return lambda text: str(scrubber.clean(text))


def datafog() -> Text:
    """Make DataFog's engine of regular expressions."""
    import datafog as package

    return lambda text: str(package.redact(text, engine="regex").redacted_text)


def logfire() -> Text:
    """Make Logfire's scrubber, which replaces a value that names a secret."""
    from logfire._internal.scrubbing import Scrubber

    scrubber = Scrubber(None)
    return lambda text: str(scrubber.scrub_value(("attributes", "message"), text)[0])


def sentry_message() -> Text:
    """Make Sentry's EventScrubber; it looks at the names of keys, so the text of a message stays as it is."""
    from sentry_sdk.scrubber import EventScrubber

    scrubber = EventScrubber(recursive=True)

    def scrub(text: str) -> str:
        event: Any = {"message": text}
        scrubber.scrub_event(event)
        return str(event["message"])

    return scrub


def sentry_metadata() -> Metadata:
    """Make Sentry's EventScrubber, going into nested values, which is kinder than its default."""
    from sentry_sdk.scrubber import EventScrubber

    scrubber = EventScrubber(recursive=True)

    def scrub(metadata: dict[str, Any]) -> Any:
        event: Any = {"extra": copy.deepcopy(metadata)}
        scrubber.scrub_event(event)
        return plain(event["extra"])

    return scrub


def plain(value: Any) -> Any:
    """Replace Sentry's annotated values by what it would send."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return "[Filtered]" if type(value).__name__ == "AnnotatedValue" else value


def url_normalize() -> Text:
    """Make url-normalize, which writes a URL in its one usual form and keeps all of it."""
    from url_normalize import url_normalize as normalize

    return lambda path: str(normalize(path))


def digits() -> Text:
    """Make the rule of the Datadog agent's ``remove_paths_with_digits``, ported: a segment with a digit is a parameter."""
    segment = re.compile(r"(?<=/)[^/?#]*\d[^/?#]*")
    return lambda path: segment.sub(":id", re.split(r"[?#]", path, maxsplit=1)[0])


def numbers_and_uuids() -> Text:
    """Make the rule that most dashboards use: numbers, UUIDs and long hexadecimal words are parameters."""
    segment = re.compile(r"(?<=/)(?:\d+|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-fA-F]{16,})(?=/|$)")
    return lambda path: segment.sub(":id", re.split(r"[?#]", path, maxsplit=1)[0])


MESSAGES: dict[str, Callable[[], Text]] = {
    "presidio-analyzer": presidio,
    "scrubadub": scrubadub,
    "datafog": datafog,
    "logfire": logfire,
    "sentry-sdk": sentry_message,
}
PATHS: dict[str, Callable[[], Text]] = {
    "digits (port)": digits,
    "numbers and UUIDs": numbers_and_uuids,
    "url-normalize": url_normalize,
}
METADATA: dict[str, Callable[[], Metadata]] = {"sentry-sdk": sentry_metadata}
