"""The object an application creates: it wires the stages and is the only place that knows them all.

Importing it is light.  The database, cryptography and the network are loaded by the background thread (or by the first
question that needs them), because no request ever waits for them.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from calos_telemetry.contract.declarations import DeclarationError, Declarations
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import CalosTelemetryError, SettingsError, StateError, StoreError
from calos_telemetry.forks import gate
from calos_telemetry.private_files import ensure_directory
from calos_telemetry.sdk.apart import LARGE_BYTES, DrainApart
from calos_telemetry.sdk.declared import read_declarations
from calos_telemetry.sdk.license.state import LicenseState, community
from calos_telemetry.sdk.obfuscate.identifiers import Identifiers, load_secret
from calos_telemetry.sdk.policy.decision import Policy
from calos_telemetry.sdk.policy.watch import has_policy_file
from calos_telemetry.sdk.record.books import ProcessBooks, books_of
from calos_telemetry.sdk.record.countries import Countries
from calos_telemetry.sdk.record.facts import RequestFacts
from calos_telemetry.sdk.record.mounts import warning_of
from calos_telemetry.sdk.record.own_work import own_work
from calos_telemetry.sdk.record.pipeline import Pipeline
from calos_telemetry.sdk.record.spool import Spool
from calos_telemetry.sdk.record.visits import Visits
from calos_telemetry.sdk.schedule import Job, Schedule
from calos_telemetry.settings import Settings

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from calos_telemetry.sdk.install import Install
    from calos_telemetry.sdk.viewer.asgi import Viewer

_LOG = logging.getLogger("calos_telemetry")
_SYNC_SECONDS = 1.0
_VERIFY_SECONDS = 60.0
_DAY_SECONDS = 60.0
_CLEAN_SECONDS = 3_600.0
_FLUSH_PATIENCE = 10.0
_FULL = 150_000
"""Records of this process that wait: at so many (about half of what a spool may hold) a drain does not wait for its time."""


class Telemetry:
    """Telemetry of one application.  Creating it never fails: what cannot work is logged once and counted.

    ``features`` maps a prefix of a route template to the name of the feature behind it.  ``declarations`` says which
    features and metadata the application has; those of the file in ``CALOS_DECLARATIONS`` are added to it.
    With ``feature_tags`` every tag of a route is a feature, not only one that is declared.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        features: Mapping[str, str] | None = None,
        declarations: Declarations | None = None,
        feature_tags: bool = False,
    ) -> None:
        self.failures: Counter[str] = Counter()
        self.problem: str | None = None
        self.pipeline: Pipeline | None = None
        self.settings = Settings.salvaged({})
        self.declarations = declarations
        self.declarations_problem: str | None = None
        self.disk_warning: str | None = None
        self._features = features
        self._feature_tags = feature_tags
        self._install: Install | None = None
        self._license: LicenseState | None = None
        self._apart: DrainApart | None = None
        self._schedule = Schedule([])
        self._begin_process()
        try:
            self.settings = _from_environment(self) if settings is None else settings
            if self.problem is None:
                self._wire()
        except Exception as error:  # noqa: BLE001 - the boundary: whatever is wrong with us, the application starts
            self._give_up(error)
        _living.append(weakref.ref(self, _living.remove))

    def _begin_process(self) -> None:
        """Begin with nothing that belongs to one process: the lock, the thread, the connections (again after a fork)."""
        self._lock = threading.RLock()  # a signal handler may ask, too
        self._drained = 0  # of what this process has recorded, how much it knows to be drained
        self._draining = 0  # likewise, how much will be when the drain apart has ended
        if self._apart is not None:
            self._apart.forget()
        self._schedule.begin_process()
        install, self._install = self._install, None
        if install is not None:
            install.abandon()

    def _give_up(self, error: Exception) -> None:
        kind = type(error).__name__
        self.problem = str(error) if isinstance(error, CalosTelemetryError) else f"{kind}: {error}"
        self.failures[kind] += 1
        self._schedule = Schedule([Job("read the license again", _VERIFY_SECONDS, self._read_license_again)])
        _LOG.warning("telemetry is off and the application is not affected: %s", self.problem)

    def _wire(self) -> None:
        home = ensure_directory(self.settings.home)
        identifiers = Identifiers(load_secret(home / "secret"))
        spool = Spool(ensure_directory(home / "spool"))
        policy = Policy(self.settings, self._proven_tier())
        self.disk_warning = warning_of(home)
        for note in filter(None, (policy.note, policy.file.note, self.disk_warning)):
            _LOG.warning("%s", note)
        self._declare()
        visits = Visits(home / "days")
        countries = Countries(self.settings.geo_database, self.settings.country_header)
        self.pipeline = Pipeline(
            policy,
            identifiers,
            spool,
            self._features,
            declarations=self.declarations,
            countries=countries,
            visits=visits,
            feature_tags=self._feature_tags,
        )
        self._apart = DrainApart(self.settings)
        self._schedule = Schedule(
            [
                Job("read the policy file", _SYNC_SECONDS, self._look_at_policy),
                Job("bring the spool to the disk", _SYNC_SECONDS, spool.sync),
                Job("have the key of the day", _DAY_SECONDS, visits.prepare),
                Job("write down the database queries", _SYNC_SECONDS, self.pipeline.write_queries),
                Job("drain the spool", self.settings.drain_seconds, self._drain),
                Job("look after the drain", _SYNC_SECONDS, self._look_after_drain),
                Job("verify the license", _VERIFY_SECONDS, self._verify),
                Job("clean up old telemetry", _CLEAN_SECONDS, self._clean),
            ]
        )

    def _declare(self) -> None:
        """Read the file of declarations; one that cannot be used costs itself only."""
        try:
            self.declarations = read_declarations(self.settings.declarations, self.declarations)
        except DeclarationError as error:
            self.declarations_problem = str(error)
            _LOG.warning("telemetry goes on without this file of declarations: %s", error)

    def _proven_tier(self) -> Tier:
        """Return the tier the license key proves offline; asked at start only where it can switch something off."""
        if not (self.settings.telemetry_disabled or has_policy_file(self.settings)):
            return Tier.COMMUNITY
        from calos_telemetry.sdk.license.offline import proven_tier, read_license  # noqa: PLC0415 - loads cryptography

        return proven_tier(read_license(self.settings)[0])

    @property
    def install(self) -> Install:
        """Return the half behind the spool.  Raises :class:`CalosTelemetryError` when it cannot be opened."""
        if self.problem is not None:
            raise StateError(self.problem)
        if gate.inherited_work:
            raise StoreError("this process was forked in the midst of a transaction: another process stores its events")
        with gate.inside(), self._lock:
            if self._install is None:
                from calos_telemetry.sdk.install import Install  # noqa: PLC0415 - loads the database and cryptography

                self._install = Install(self.settings)
            return self._install

    @property
    def license(self) -> LicenseState:
        """Return the license state that holds now; never waits for the database or the network."""
        if self._license is not None:
            return self._license
        if self.pipeline is None:  # nothing will be recorded, which is what begins the background elsewhere
            self._schedule.start()
        return self._read_license_again()

    def _read_license_again(self) -> LicenseState:
        self._license = state = self._read_license()
        return state

    def _read_license(self) -> LicenseState:
        try:
            with gate.inside():
                from calos_telemetry.sdk.license.standing import state_on_disk  # noqa: PLC0415 - loads cryptography

            state = state_on_disk(self.settings)
        except Exception as error:  # noqa: BLE001 - the boundary: without a readable license the application goes on
            self.swallow(error)
            return community()
        if state.warning is not None and (self._license is None or self._license.warning != state.warning):
            _LOG.warning("license: %s", state.warning)
        return state

    def clear_license(self) -> LicenseState:
        """Forget the cached lease (never the license key), so that the license is verified anew; return what holds now.

        Other processes of the install follow within a minute.  Raises :class:`StateError` when it cannot be forgotten.
        """
        with gate.inside():
            from calos_telemetry.sdk.license.clearing import clear_lease  # noqa: PLC0415 - loads cryptography

        clear_lease(self.settings.home)
        return self._read_license_again()

    def record(self, facts: RequestFacts) -> None:
        """Record an answered request.  Called by the middlewares, inside their boundary."""
        pipeline = self.pipeline
        if pipeline is None or facts.own:
            return
        try:
            recorded = pipeline.request(facts)
        except Exception:
            pipeline.spool.give_up()
            raise
        if recorded or pipeline.policy.verifies_alone(facts.host):
            self._schedule.start()

    def track_feature(
        self, facts: RequestFacts | None, name: str, metadata: Mapping[str, object] | None = None
    ) -> bool:
        """Record one use of a feature; false when it was not recorded.  Never raises."""
        return self.attempt(lambda pipeline: pipeline.feature(name, metadata, facts))

    def track_error(
        self, facts: RequestFacts | None, error: BaseException, context: Mapping[str, object] | None = None
    ) -> bool:
        """Record a failure that the application caught; false when it was not recorded.  Never raises."""
        return self.attempt(lambda pipeline: pipeline.error(error, facts, context))

    def attempt(self, record: Callable[[Pipeline], bool]) -> bool:
        """Let ``record`` record something; false when it was not recorded.  Never raises."""
        try:
            recorded = self.pipeline is not None and record(self.pipeline)
        except Exception as failure:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self.swallow(failure)
            if self.pipeline is not None:
                self.pipeline.spool.give_up()
            return False
        if recorded:
            self._schedule.start()
        return recorded

    def watch_exceptions(self, loop: AbstractEventLoop | None = None) -> Callable[[], None]:
        """Record exceptions that nobody catches, in any thread, and with ``loop`` in its tasks; return what ends it."""
        from calos_telemetry.sdk.instrument.hooks import watch_exceptions  # noqa: PLC0415 - asyncio loads with it

        return watch_exceptions(self, loop)

    def flush(self) -> int:
        """Move everything spooled by any process into the database now; return how many events that were."""
        if self.pipeline is not None:
            self.pipeline.write_queries()
        with own_work():
            return self.install.drain(patience=_FLUSH_PATIENCE).events

    def books(self) -> ProcessBooks:
        """Return what became of all that this process wanted to record; ``install.books()`` is the sum of all of them."""
        return books_of(self.pipeline)

    def summary(self, hours: int = 24) -> dict[str, Any]:
        """Return the summary of the last ``hours``."""
        with own_work():
            return self.install.summary(hours)

    def viewer(self, page: str = "") -> Viewer:
        """Return the operator's pages as an ASGI application, to be mounted at ``/api/telemetry``.

        With ``page`` it is that page and those below it: ``viewer("/license")`` is mounted at ``/api/license``.
        """
        from calos_telemetry.sdk.viewer.asgi import Viewer  # noqa: PLC0415 - the pages load with the first mount

        return Viewer(self, page)

    def swallow(self, error: BaseException) -> None:
        """Count a failure of our own by kind and log the first of each kind; the application goes on.

        Of the exception only its kind and its arguments are looked at: it may be of a stranger's class.
        """
        kind = type(error).__name__
        if kind not in self.failures:
            text = " ".join(argument for argument in error.args if type(argument) is str)
            _LOG.warning("telemetry failed and the application is not affected: %s: %s", kind, text)
        self.failures[kind] += 1

    def troubles(self) -> list[str]:
        """Return in words what does not work in this process; for the operator."""
        said = (self.problem, self.declarations_problem, self.disk_warning)
        found = [trouble for trouble in said if trouble is not None]
        found += [f"telemetry failed {times} times: {kind}" for kind, times in sorted(self.failures.items())]
        return found + [
            f"it could not {what} ({times} times)" for what, times in sorted(self._schedule.failures.items())
        ]

    def close(self) -> None:
        """Stop the background thread and let the files go.  Optional: nothing is lost without it."""
        self._schedule.stop()
        if self._apart is not None:
            self._apart.end()
        if self.pipeline is not None:
            self.pipeline.write_queries()
            self.pipeline.spool.close()
        if self._install is not None:
            self._install.close()

    def _look_at_policy(self) -> None:
        """Obey a policy file that has changed."""
        if self.pipeline is None or not self.pipeline.policy.file.changed():
            return
        file = self.pipeline.policy.file
        file.refresh(self._proven_tier())
        _LOG.warning("%s", file.note or f"{file.path} has changed: it is obeyed from now on")

    def _drain(self) -> None:
        """Drain a little on this thread, or begin a drain of much in a process of its own."""
        if self.pipeline is None or self._apart is None or self._apart.running:
            return
        spool = self.pipeline.spool
        recorded = spool.books.recorded
        spool.seal()
        much = self._apart.takes_everything or self.install.waiting_bytes() >= LARGE_BYTES
        if much and self._apart.start():
            self._draining = recorded
        elif self.install.drain().elected:
            self._drained = recorded

    def _look_after_drain(self) -> None:
        """Note the end of a drain apart; drain a spool that fills up before its time."""
        if self._apart is not None and self._apart.collect():
            self._drained = self._draining
        if self.pipeline is not None and self.pipeline.spool.books.recorded - self._drained > _FULL:
            self._drain()

    @property
    def _works_here(self) -> bool:
        """Whether verifying and cleaning are this process's work: not where they are done apart."""
        return self._apart is None or not self._apart.takes_everything

    def _clean(self) -> None:
        if self._works_here:
            self.install.upkeep.run_if_due()

    def _verify(self) -> None:
        try:
            if self._works_here:
                self.install.verify_if_due()
        finally:  # the license holds, whatever became of the telemetry
            self._read_license_again()


_living: list[weakref.ref[Telemetry]] = []  # in the order they were made; each goes when its telemetry does


def _telemetries() -> Iterator[Telemetry]:
    """Yield the telemetry objects of this process, the newest first."""
    for reference in reversed(tuple(_living)):
        telemetry = reference()
        if telemetry is not None:
            yield telemetry


def latest_telemetry() -> Telemetry | None:
    """Return the telemetry that this process created last, if any is left."""
    return next(_telemetries(), None)


def telemetry_of(facts: RequestFacts | None) -> Telemetry | None:
    """Return the telemetry around the request of ``facts``; without a request, the latest."""
    latest = latest_telemetry()
    if facts is None or latest is None or latest.pipeline is facts.pipeline:
        return latest
    return next((telemetry for telemetry in _telemetries() if telemetry.pipeline is facts.pipeline), latest)


def default_telemetry() -> Telemetry:
    """Return the telemetry of this process; create it from the environment where there is none (Django)."""
    return latest_telemetry() or _keep(Telemetry())


_kept: list[Telemetry] = []


def _keep(telemetry: Telemetry) -> Telemetry:
    _kept.append(telemetry)
    return telemetry


def _from_environment(telemetry: Telemetry) -> Settings:
    """Return the settings; of an environment that cannot be used, what concerns the license and the operator's door."""
    try:
        return Settings.from_environment()
    except SettingsError as error:
        telemetry._give_up(error)  # noqa: SLF001 - a part of its construction
        return Settings.salvaged()


def _after_fork_in_child() -> None:
    for telemetry in _telemetries():
        telemetry._begin_process()  # noqa: SLF001 - the same module


os.register_at_fork(after_in_child=_after_fork_in_child)
