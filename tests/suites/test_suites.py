"""The frameworks' own request tests behave the same with our middleware around every application.

A short form runs with the rest of the suite; `make suites` (``CALOS_SUITES=1``) runs all that have to do with requests.
"""

import os
from pathlib import Path

import pytest
from tests.suites.frameworks import FRAMEWORKS, Framework, NotThereError, extras, run, source_of

WHOLE = bool(os.environ.get("CALOS_SUITES"))


@pytest.mark.timeout(3_000 if WHOLE else 120)
@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda framework: framework.package)
def test_the_frameworks_own_tests_see_no_difference(framework: Framework, tmp_path: Path) -> None:
    """Run them bare and with our middleware: the same outcome, test by test, and nothing of ours failed."""
    try:
        source_of(framework)
        extras()
    except NotThereError as reason:
        pytest.skip(f"the tests of {framework.package} cannot be had here: {reason}")
    tests = framework.whole if WHOLE else framework.quick
    bare = run(framework, tests, tmp_path, around=False)
    ours = run(framework, tests, tmp_path, around=True)
    passed = sum(outcome == "passed" for outcome in bare.outcomes.values())
    print(f"{framework.package}: {len(bare.outcomes)} tests, {passed} pass without us; {ours.recorded} events")  # noqa: T201
    differing = {
        name: (bare.outcomes.get(name), ours.outcomes.get(name))
        for name in bare.outcomes.keys() | ours.outcomes.keys()
        if bare.outcomes.get(name) != ours.outcomes.get(name)
    }
    assert differing == {}
    assert passed > 20
    assert ours.failures == {}
    assert ours.recorded > 20
