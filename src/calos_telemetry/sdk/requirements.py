"""``require_tier`` and ``require_feature``: what a view needs of the license, as decorator or FastAPI dependency."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast, overload

from calos_telemetry.contract.tiers import LICENSED_TIERS, Tier
from calos_telemetry.errors import SettingsError
from calos_telemetry.sdk.current_license import current_license
from calos_telemetry.sdk.license.state import LicenseState
from calos_telemetry.sdk.refusals import Refusal, refuse, refuse_dependency

if sys.version_info >= (3, 12):
    from inspect import iscoroutinefunction
else:  # inspect's own does not see that Django has marked a class-based view
    from asyncio import iscoroutinefunction

F = TypeVar("F", bound=Callable[..., Any])

_ENOUGH = {
    Tier.PRO: frozenset({Tier.PRO, Tier.ENTERPRISE, Tier.DEVELOPMENT}),
    Tier.ENTERPRISE: frozenset({Tier.ENTERPRISE, Tier.DEVELOPMENT}),
}


class Requirement:
    """Something that the license must bring.  ``@requirement`` guards a view, ``Depends(requirement)`` a FastAPI route.

    Where the license does not bring it, the view is not called, and the answer is 403 with a JSON body.
    """

    def __init__(self, met: Callable[[LicenseState], bool], needs: dict[str, str], to_do: str) -> None:
        self._met = met
        self._needs = needs
        self._to_do = to_do
        self.__signature__ = inspect.Signature()  # FastAPI reads from it that the dependency asks for nothing

    @overload
    def __call__(self) -> None: ...

    @overload
    def __call__(self, view: F) -> F: ...

    def __call__(self, view: F | None = None) -> F | None:
        """Guard ``view``; without one, be FastAPI's dependency.  Raises :class:`SettingsError` for a class."""
        if view is None:
            refusal = self._refusal()
            return refuse_dependency(refusal) if refusal is not None else None
        if isinstance(view, type):
            raise SettingsError(f"{view.__name__} is a class: put the requirement on its methods or on as_view()")
        return cast("F", self._guarded_async(view) if iscoroutinefunction(view) else self._guarded(view))

    def _guarded(self, view: Any) -> Any:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            refusal = self._refusal()
            return view(*args, **kwargs) if refusal is None else refuse(refusal, (*args, *kwargs.values()))

        return guarded

    def _guarded_async(self, view: Any) -> Any:
        @wraps(view)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            refusal = self._refusal()
            return await view(*args, **kwargs) if refusal is None else refuse(refusal, (*args, *kwargs.values()))

        return guarded

    def _refusal(self) -> Refusal | None:
        state = current_license()
        if self._met(state):
            return None
        kind, name = next(iter(self._needs.items()))
        return {
            "success": False,
            "error": f"this needs the {kind} {name}, and the license of this install is {state.tier.value}",
            "needs": self._needs,
            "has": {"tier": state.tier.value, "features": sorted(state.features)},
            "to_do": self._to_do,
        }


def require_tier(tier: str) -> Requirement:
    """Require a tier or a higher one; a development host has every tier.

    Raises :class:`SettingsError` for a name that is no tier one can buy.
    """
    if tier not in LICENSED_TIERS:
        names = " or ".join(f'"{one.value}"' for one in LICENSED_TIERS)
        raise SettingsError(f"require_tier takes {names}, not {tier!r}")
    enough = _ENOUGH[Tier(tier)]
    to_do = f"set CALOS_LICENSE_KEY to a license key of the tier {tier}; the vendor issues them"
    return Requirement(lambda state: state.tier in enough, {"tier": str(tier)}, to_do)


def require_feature(feature: str) -> Requirement:
    """Require a feature that a tier or the license key itself brings, such as ``api_access``; a development host has all."""
    to_do = f"set CALOS_LICENSE_KEY to a license key that brings {feature}; the vendor issues them"

    def met(state: LicenseState) -> bool:
        return feature in state.features or state.tier is Tier.DEVELOPMENT

    return Requirement(met, {"feature": feature}, to_do)
