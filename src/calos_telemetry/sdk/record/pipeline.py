"""The one choke point for recording, from raw facts to a spooled record.  Read this file first.

Every fact takes the same four steps, in this order, on the request's own thread, without a lock shared with anybody,
without the database and without the network:

1. *policy*     may this be recorded at all?  If not, it is counted under the reason and forgotten.
2. *obfuscate*  identifiers become hashes, paths templates, texts scrubbed texts.
3. *encode*     the catalogue's types, and nothing else, become bytes.
4. *append*     the bytes reach the page cache; from here on no SIGKILL can lose them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from calos_telemetry.clock import now_ms
from calos_telemetry.contract.declarations import Declarations
from calos_telemetry.contract.events import (
    METHODS,
    OTHER_METHOD,
    UNMATCHED,
    ApiRequest,
    ErrorEvent,
    Event,
    FeatureUsage,
    to_record,
)
from calos_telemetry.contract.fields import MAX_MESSAGE, MAX_NAME, MAX_STACK
from calos_telemetry.sdk.obfuscate.categories import categorise, categorise_status
from calos_telemetry.sdk.obfuscate.clients import client_of
from calos_telemetry.sdk.obfuscate.identifiers import Identifiers
from calos_telemetry.sdk.obfuscate.messages import obfuscate_message
from calos_telemetry.sdk.obfuscate.metadata import obfuscate_metadata
from calos_telemetry.sdk.obfuscate.names import feature_name
from calos_telemetry.sdk.obfuscate.paths import obfuscate_path
from calos_telemetry.sdk.obfuscate.routes import template_of_route
from calos_telemetry.sdk.obfuscate.stacks import obfuscate_stack
from calos_telemetry.sdk.policy.decision import Decision, Policy
from calos_telemetry.sdk.record.countries import Countries
from calos_telemetry.sdk.record.facts import RequestFacts
from calos_telemetry.sdk.record.spool import Spool
from calos_telemetry.sdk.record.styles import style_of

_NO_ROUTE = frozenset({404, 405})
_FIRST_FAILURE = 400


class Pipeline:
    """Turns facts into spooled records.  Nothing here raises into the application: callers go through the guard."""

    def __init__(
        self,
        policy: Policy,
        identifiers: Identifiers,
        spool: Spool,
        features: Mapping[str, str] | None = None,
        *,
        declarations: Declarations | None = None,
        countries: Countries | None = None,
    ) -> None:
        """``features`` maps a prefix of a route template to the name of the feature behind it."""
        self.policy = policy
        self.spool = spool
        self.not_recorded: Counter[str] = Counter()
        self.countries = countries or Countries()
        self._declarations = declarations or Declarations()
        self._hash_user = identifiers.user
        self._hash_session = identifiers.session
        self._features = sorted((features or {}).items(), key=lambda item: -len(item[0]))
        self._feature_of: dict[str, str | None] = {}
        self._host_seen: Decision | None = None

    def request(self, facts: RequestFacts) -> bool:
        """Record an answered request; true when it is in the spool."""
        if not self._may_record(facts):
            return False
        path = template_of(facts)
        user, session = self._who(facts)
        client = client_of(facts.user_agent)
        event = ApiRequest(
            method=facts.method if facts.method in METHODS else OTHER_METHOD,
            path=path,
            status=facts.status,
            duration_us=facts.duration_us,
            request_bytes=facts.request_bytes,
            response_bytes=facts.response_bytes,
            feature=self._feature(path),
            user=user,
            session=session,
            country=self.countries.of(facts.address, facts.country) if self.countries.known else None,
            browser=client.browser,
            os=client.os,
            style=style_of(path, facts.is_page),
            error=categorise_status(facts.status) if facts.status >= _FIRST_FAILURE else None,
        )
        recorded = self._append(facts.at, event)
        if facts.error is not None:
            self.error(facts.error, facts)
        return recorded

    def feature(self, name: str, metadata: Mapping[str, object] | None, facts: RequestFacts | None) -> bool:
        """Record one use of a feature that the application reports."""
        if not self._may_record(facts):
            return False
        user, session = self._who(facts)
        event = FeatureUsage(
            feature=feature_name(name),
            metadata=obfuscate_metadata(metadata, self._declarations) if metadata else {},
            user=user,
            session=session,
        )
        return self._append(now_ms(), event)

    def error(
        self, error: BaseException, facts: RequestFacts | None, context: Mapping[str, object] | None = None
    ) -> bool:
        """Record a failure: an unhandled exception, or one the application reports with a context."""
        if not self._may_record(facts):
            return False
        user, session = self._who(facts)
        event = ErrorEvent(
            category=categorise(error),
            name=feature_name(type(error).__name__)[:MAX_NAME],
            message=obfuscate_message(_text_of(error))[:MAX_MESSAGE],
            stack=obfuscate_stack(error)[:MAX_STACK],
            path=template_of(facts) if facts else None,
            method=facts.method if facts and facts.method in METHODS else None,
            status=facts.status if facts and facts.status else None,
            context=obfuscate_metadata(context, self._declarations) if context else {},
            user=user,
            session=session,
        )
        return self._append(now_ms(), event)

    def _may_record(self, facts: RequestFacts | None) -> bool:
        if facts is not None:
            decision = self._host_seen = self.policy.collect(facts.host)
        else:  # outside any request the host is not known: what held for the latest request holds
            decision = self._host_seen or self.policy.collect("")
        if not decision.allowed:
            self.not_recorded[decision.reason] += 1
        return decision.allowed

    def _who(self, facts: RequestFacts | None) -> tuple[str | None, str | None]:
        """Return the user and session hashes; none for visitors who sent ``Sec-GPC: 1``."""
        if facts is None or facts.private:
            return None, None
        return self._hash_user(facts.user), self._hash_session(facts.session)

    def _feature(self, path: str) -> str | None:
        if not self._features:
            return None
        if path not in self._feature_of and len(self._feature_of) < 4_096:  # noqa: PLR2004 - bounded memory
            self._feature_of[path] = next((name for prefix, name in self._features if path.startswith(prefix)), None)
        return self._feature_of.get(path)

    def _append(self, at: int, event: Event) -> bool:
        return self.spool.append(to_record(at, event))


def template_of(facts: RequestFacts) -> str:
    """Return the template of a request: the router's own, else inferred from the path.

    A request that the router knows nothing of is ``(unmatched)``: a scanner must not write our tables.
    """
    if facts.route is not None:
        return template_of_route(facts.route)
    if facts.status in _NO_ROUTE:
        return UNMATCHED
    return obfuscate_path(facts.path)


def _text_of(error: BaseException) -> str:
    """Return an exception's text, read from its arguments only: a hostile ``__str__`` is never called."""
    return " ".join(argument for argument in error.args if type(argument) is str)
