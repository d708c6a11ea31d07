"""The tests are tested: each deliberate mistake in the table is caught, and the code as it is passes the same tests."""

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tests.sdk.record.mutants import MUTANTS, Mutant, copy_with, run_against_copy

Answers = dict[str | None, Future[CompletedProcess[str]]]
pytestmark = pytest.mark.timeout(600)  # whichever test comes first may wait for the whole table

ALL_TESTS = tuple(sorted({test for mutant in MUTANTS for test in mutant.tests}))


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """Start all runs, a few at a time, so that the whole table takes seconds."""

    def judge(mutant: Mutant | None, place: Path) -> CompletedProcess[str]:
        copy_with(mutant, place)
        return run_against_copy(place, mutant.tests if mutant else ALL_TESTS)

    with ThreadPoolExecutor(4) as pool:
        yield {
            mutant.name if mutant else None: pool.submit(judge, mutant, tmp_path_factory.mktemp("mutant"))
            for mutant in (None, *MUTANTS)
        }


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_mistake_is_caught(answers: Answers, mutant: Mutant) -> None:
    """With the mistake in it, the tests that are there to prevent it fail, by their own verdict."""
    run = answers[mutant.name].result()
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    assert re.search(r"^FAILED ", run.stdout, re.MULTILINE)


def test_the_code_as_it_is_passes(answers: Answers) -> None:
    """The same tests pass on an unchanged copy, so it is the mistakes they catch."""
    run = answers[None].result()
    assert run.returncode == pytest.ExitCode.OK, run.stdout + run.stderr
