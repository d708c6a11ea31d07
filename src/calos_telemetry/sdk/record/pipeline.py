"""The one choke point for recording, from raw facts to a spooled record.  Read this file first.

Every fact takes the same four steps, in this order, on the request's own thread, without a lock shared with anybody,
without the database and without the network:

1. *policy*     may this be recorded at all?  If not, it is counted under the reason and forgotten.
2. *obfuscate*  identifiers become hashes, paths templates, texts scrubbed texts; what the policy file names is withheld.
3. *encode*     the catalogue's types, and nothing else, become bytes.
4. *append*     the bytes reach the page cache; from here on no SIGKILL can lose them.
"""

from __future__ import annotations

import atexit
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from weakref import WeakSet

from calos_telemetry.clock import now_ms
from calos_telemetry.contract.declarations import Declarations
from calos_telemetry.contract.events import (
    CATEGORIES,
    METHODS,
    OTHER_METHOD,
    UNMATCHED,
    ApiRequest,
    ErrorEvent,
    Event,
    FeatureUsage,
    Performance,
    to_record,
)
from calos_telemetry.contract.fields import MAX_MESSAGE, MAX_NAME, MAX_STACK
from calos_telemetry.sdk.obfuscate.categories import categorise, categorise_status
from calos_telemetry.sdk.obfuscate.clients import client_of
from calos_telemetry.sdk.obfuscate.frames import Frame
from calos_telemetry.sdk.obfuscate.identifiers import Identifiers
from calos_telemetry.sdk.obfuscate.metadata import obfuscate_metadata
from calos_telemetry.sdk.obfuscate.names import feature_name
from calos_telemetry.sdk.obfuscate.paths import obfuscate_path
from calos_telemetry.sdk.obfuscate.routes import template_of_route
from calos_telemetry.sdk.obfuscate.stacks import obfuscate_stack, one_line, one_line_of
from calos_telemetry.sdk.policy.decision import Decision, Policy
from calos_telemetry.sdk.record.countries import Countries
from calos_telemetry.sdk.record.facts import CLIENT_LEFT, RequestFacts
from calos_telemetry.sdk.record.queries import QueryTally
from calos_telemetry.sdk.record.spool import Spool
from calos_telemetry.sdk.record.styles import style_of
from calos_telemetry.sdk.record.usage import UsedFeatures
from calos_telemetry.sdk.record.visits import Visits

_NO_ROUTE = frozenset({301, 307, 308, 404, 405, CLIENT_LEFT})
"""Answers that routers give where no route matches: nothing is there, or it is at a tidier path (a slash more or less)."""
_FIRST_FAILURE = 400
_MOST_QUERIES = 10_000  # of one request
_MARK = "__calos_recorded__"
_SAME_MS = 60_000
_MOST_ROUTES = 4_096
_POLICY_FILE = "taken away by the policy file"


_living: WeakSet[Pipeline] = WeakSet()


@atexit.register
def _write_down_at_exit() -> None:
    """Write down what a program that ends has only counted yet: a script may have nothing but queries, or failures."""
    for pipeline in tuple(_living):
        with suppress(Exception):
            pipeline.write_queries()
            pipeline.spool.seal()


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
        visits: Visits | None = None,
        feature_tags: bool = False,
    ) -> None:
        """``features`` maps a prefix of a route template to the name of the feature behind it."""
        self.policy = policy
        self._file = policy.file
        self.spool = spool
        self.not_recorded: Counter[str] = Counter()
        self.countries = countries or Countries()
        self._declarations = declarations or Declarations()
        self._hash_user = identifiers.user
        self._hash_session = identifiers.session
        self._visits = visits
        self.features = UsedFeatures(features or {}, self._declarations.features, any_tag=feature_tags)
        self.tally = QueryTally()
        self.spans = False  # whether spans of OpenTelemetry feed us as well
        self._kinds: dict[tuple[str | None, bool], tuple[str, str]] = {}
        self._host_seen: Decision | None = None
        _living.add(self)

    def request(self, facts: RequestFacts) -> bool:
        """Record an answered request; true when it is in the spool."""
        if not self._may_record(facts):
            facts.queries = None
            return False
        path, style = self._kind_of(facts)
        user, session = self._who(facts)
        queries, facts.queries = facts.queries, None  # what the request's tasks ask from now on is nobody's
        client = client_of(facts.user_agent)
        event = ApiRequest(
            facts.method if facts.method in METHODS else OTHER_METHOD,
            path,
            facts.status,
            facts.duration_us,
            facts.request_bytes,
            facts.response_bytes,
            self.features.of(path, facts),
            user,
            session,
            self.countries.of(facts.address, facts.country) if self.countries.known else None,
            client.browser,
            client.os,
            style,
            categorise_status(facts.status) if facts.status >= _FIRST_FAILURE and facts.status != CLIENT_LEFT else None,
            facts.route is None and path != UNMATCHED,  # inferred
            sum(duration_us for _, duration_us in queries) if queries else 0,
            len(queries) if queries else 0,
            facts.streamed_us,
            facts.disconnected,
        )
        if queries:
            self.tally.add(queries, facts.at)
        if facts.at >= self.tally.due:
            self.write_queries()
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
            feature=self.features.cleaned(name),
            metadata=obfuscate_metadata(metadata, self._declarations) if metadata else {},
            user=user,
            session=session,
        )
        return self._append(now_ms(), event)

    def choice(self, name: str, value: object, facts: RequestFacts | None) -> bool:
        """Record what was chosen of a closed choice; the choice is the feature, and its key."""
        return self.feature(name, {name: value}, facts)

    def error(
        self, error: BaseException, facts: RequestFacts | None, context: Mapping[str, object] | None = None
    ) -> bool:
        """Record a failure: an unhandled exception, or one the application reports with a context.

        An exception that comes by again (tracked by hand, then by the middleware, then by the log) is one failure.
        """
        if not self._may_record(facts) or not is_news(error, facts):
            return False
        user, session = self._who(facts)
        event = ErrorEvent(
            category=categorise(error),
            name=feature_name(type(error).__name__)[:MAX_NAME],
            message=one_line_of(error)[:MAX_MESSAGE],
            stack=obfuscate_stack(error)[:MAX_STACK],
            path=template_of(facts) if facts else None,
            inferred=facts is not None and facts.route is None,
            method=facts.method if facts and facts.method in METHODS else None,
            status=facts.status if facts and facts.status else None,
            context=obfuscate_metadata(context, self._declarations) if context else {},
            user=user,
            session=session,
        )
        return self._append(now_ms(), event)

    def logged(self, logger: str, template: str, where: Frame, facts: RequestFacts | None) -> bool:
        """Record an error that the application logged without an exception: the template of its message, and where."""
        stack = f"log: {one_line(template)}\n{where}"
        return self._append_told(f"log:{logger}", template, stack, facts)

    def told(self, kind: str, message: str, trace: str, facts: RequestFacts | None) -> bool:
        """Record a failure that somebody else saw and tells in words: its class, its message, its traceback."""
        return self._append_told(kind.rpartition(".")[2], message, obfuscate_stack(trace), facts)

    def _append_told(self, name: str, message: str, stack: str, facts: RequestFacts | None) -> bool:
        if not self._may_record(facts):
            return False
        event = ErrorEvent(
            category=categorise(Exception(f"{name} {message}")),
            name=feature_name(name),
            message=one_line(message)[:MAX_MESSAGE],
            stack=stack[:MAX_STACK],
            path=template_of(facts) if facts else None,
            inferred=facts is not None and facts.route is None,
            method=facts.method if facts and facts.method in METHODS else None,
        )
        return self._append(now_ms(), event)

    def transaction(
        self, name: str, duration_us: int, facts: RequestFacts | None, failure: BaseException | str | None = None
    ) -> bool:
        """Record a transaction that ended; ``failure`` is the exception that ended it, or a category."""
        if not self._may_record(facts):
            return False
        event = Performance(
            metric="transaction",
            name=self.features.cleaned(name),
            duration_us=duration_us,
            success=failure is None,
            error=_category_of(failure),
        )
        return self._append(now_ms(), event)

    def query(self, name: str, duration_us: int, facts: RequestFacts | None) -> None:
        """Count a database query by operation and table; it is written down with its request, or a little later."""
        queries = None if facts is None else facts.queries
        if queries is not None and len(queries) < _MOST_QUERIES:
            queries.append((name, duration_us))
        elif self._may_record(facts):
            now = now_ms()
            self.tally.add(((name, duration_us),), now)
            if now >= self.tally.due:
                self.write_queries()

    def write_queries(self) -> None:
        """Write the database queries counted so far to the spool."""
        for event in self.tally.take():
            self._append(now_ms(), event)

    def _kind_of(self, facts: RequestFacts) -> tuple[str, str]:
        """Return template and style; remembered for each route of the application."""
        if facts.style is not None:
            return template_of(facts), facts.style
        route = (facts.route, facts.is_page)
        known = self._kinds.get(route)
        if known is None:
            path = template_of(facts)
            known = (path, style_of(path, facts.is_page))
            if facts.route is not None and len(self._kinds) < _MOST_ROUTES:
                self._kinds[route] = known
        return known

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
        session = self._hash_session(facts.session)
        if session is None and facts.address is not None and self._visits is not None:
            session = self._visits.session(facts.address, facts.user_agent or "", facts.at)
        return self._hash_user(facts.user), session

    def _append(self, at: int, event: Event) -> bool:
        restrictions = self._file.restrictions
        if restrictions is None:
            return self.spool.append(to_record(at, event))
        kept = restrictions.of_event(event)
        if kept is None:
            self.not_recorded[_POLICY_FILE] += 1
            return False
        return self.spool.append(to_record(at, kept))


def template_of(facts: RequestFacts) -> str:
    """Return the template of a request: the router's own, else inferred from the path.

    A request that the router knows nothing of is ``(unmatched)``: a scanner must not write our tables.
    """
    if facts.route is not None:
        return template_of_route(facts.route)
    if facts.status in _NO_ROUTE:
        return UNMATCHED
    return obfuscate_path(facts.path)


def is_news(error: BaseException, facts: RequestFacts | None) -> bool:
    """Say whether this exception was not recorded a moment ago; the mark stays on the exception itself.

    One exception that ends several requests (a future they all await) is a failure of each.
    """
    now, request = now_ms(), id(facts) if facts is not None else 0
    marks = BaseException.__getattribute__(error, "__dict__")
    at, of = marks.get(_MARK, (0, 0))
    marks[_MARK] = (now, request or of)
    return not 0 <= now - at < _SAME_MS or bool(of and request and of != request)


def _category_of(failure: BaseException | str | None) -> str | None:
    if failure is None or isinstance(failure, BaseException):
        return None if failure is None else categorise(failure)
    return failure if type(failure) is str and failure in CATEGORIES else "other"
