"""Deliberate mistakes in the recording, each plausible, each with the tests that must notice it.

To add one: name the mistake, the module, the exact text (which must occur once) and what a careless hand would put in
its place, and the tests that are there to prevent it (paths from this folder, as pytest takes them). A row may change
several places. `test_spool_mutants.py` applies every row to a copy of the package and runs the tests against the copy.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import calos_telemetry

FOLDER = Path(__file__).parent
REPOSITORY = FOLDER.parents[2]
PACKAGE = Path(calos_telemetry.__file__).parent
RECORD = "sdk/record/"


@dataclass(frozen=True)
class Mutant:
    """One mistake: in `module` (a path in the package), each old text is replaced by the new one."""

    name: str
    module: str
    changes: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]


def mistake(name: str, module: str, old: str, new: str, *tests: str) -> Mutant:
    """Describe a mistake made in one place."""
    return Mutant(name, RECORD + module, ((old, new),), tests)


def mistake_apart(name: str, old: str, new: str, test: str) -> Mutant:
    """Describe a mistake in the drain that is a process of its own."""
    return Mutant(name, "sdk/apart.py", ((old, new),), (f"../test_apart.py::{test}",))


_CURSOR_ALONE = """\
            with writing(self._engine) as connection:
                self._advance(connection, load.records)
"""

MUTANTS = (
    mistake(
        "file visible before its lock",
        "directory.py",
        "partial = path.with_suffix(PARTIAL_SUFFIX)",
        "partial = path",
        "test_spool_processes.py::test_no_file_is_in_sight_before_it_is_locked",
    ),
    mistake(
        "no lock at all",
        "directory.py",
        "        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n        header",
        "        header",
        "test_spool.py::test_ownership_ends_with_the_process",
    ),
    mistake(
        "no CRC check",
        "frames.py",
        "if crc32(payload, seed ^ length ^ kind << 16) != checksum:",
        "if False:",
        "test_frames.py::test_any_flipped_bit_ends_the_reading_there",
    ),
    Mutant(
        "zero magic with unseeded CRC",
        RECORD + "frames.py",
        (("MAGIC: Final = 0xCA05", "MAGIC: Final = 0"), ("    return crc32(file_id)", "    return 0")),
        ("test_frames.py::test_zeros_after_the_end_are_not_records",),
    ),
    mistake(
        "CRC not seeded with the file's id",
        "frames.py",
        "    return crc32(file_id)",
        "    return 0",
        "test_frames.py::test_records_of_another_file_are_not_ours",
    ),
    mistake(
        "an unreadable file taken for an empty one",
        "frames.py",
        "    fd = os.open(source, _OPEN_TO_READ)",
        "    fd = os.open(source if Path(source).exists() else os.devnull, _OPEN_TO_READ)",
        "test_frames.py::test_what_cannot_be_read_is_an_oserror",
    ),
    mistake(
        "append after a short write",
        "spool.py",
        "        self._let_go()\n        if not self._make_room(len(payload) + FRAME_SIZE):",
        "        if self._fd >= 0:\n            return self._refuse('disk_full')\n        if not self._make_room(0):",
        "test_spool_faults.py::test_nothing_follows_a_short_write",
        "test_spool_faults.py::test_the_books_balance_under_any_faults",
    ),
    mistake(
        "records buffered in memory",
        "spool.py",
        "if seed == self._seed and os.write(self._fd, frame) == size:",
        "self._buffer = getattr(self, '_buffer', b'') + frame\n"
        "                if len(self._buffer) > 1280:\n"
        "                    os.write(self._fd, self._buffer)\n"
        "                    self._buffer = b''\n"
        "                if True:",
        "test_spool_crash.py::test_no_acknowledged_record_is_lost_or_doubled",
    ),
    mistake(
        "inherited descriptor kept after fork",
        "spool.py",
        "        if self._fd >= 0:\n            with suppress(OSError):\n                os.close(self._fd)\n",
        "",
        "test_spool_processes.py::test_a_child_does_not_keep_its_parents_file_alive",
    ),
    mistake(
        "no fork hook",
        "spool.py",
        "os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, "
        "after_in_child=_after_fork_in_child)",
        "",
        "test_spool_processes.py::test_a_fork_shares_nothing",
    ),
    mistake(
        "fork in the midst of a rotation",
        "spool.py",
        "before=_before_fork, after_in_parent=_after_fork_in_parent, ",
        "",
        "test_spool_processes.py::test_a_fork_waits_for_a_file_to_be_begun",
    ),
    mistake(
        "a lock that is not re-entrant",
        "spool.py",
        "threading.RLock()",
        "threading.Lock()",
        "test_spool_processes.py::test_a_record_from_within_a_record",
    ),
    mistake(
        "the seed looked at once",
        "spool.py",
        "if seed == self._seed and os.write",
        "if os.write",
        "test_spool_processes.py::test_a_rotation_between_framing_and_writing",
    ),
    mistake(
        "losses told only in memory",
        "spool.py",
        "self._write(payload, LOSSES)",
        "pass",
        "test_spool_faults.py::test_losses_outlive_the_process_once_a_file_opens",
    ),
    mistake(
        "losses forgotten when they cannot be written",
        "spool.py",
        "            for reason, count in losses.items():",
        "            for reason, count in ():",
        "test_spool_faults.py::test_the_books_balance_under_any_faults",
    ),
    mistake(
        "a torn tail counted as lost although its event went elsewhere",
        "spool.py",
        "            self._excuse_torn_tail()\n",
        "            pass\n",
        "test_drain.py::test_a_write_cut_short_that_succeeded_elsewhere_is_no_loss",
        "test_spool_faults.py::test_the_books_balance_under_any_faults",
    ),
    mistake(
        "a full disk asked at every event",
        "spool.py",
        "        if self._clock() < self._retry_at:\n            return False\n",
        "",
        "test_spool_faults.py::test_a_full_disk_is_asked_once_a_second",
    ),
    mistake(
        "no quota",
        "spool.py",
        "            has_room = spool_directory.bytes_in(self.directory) + self._max_file <= self._max_total\n",
        "            has_room = True\n",
        "test_spool.py::test_the_quota_bounds_the_directory_and_counts",
    ),
    mistake(
        "a planted symlink followed",
        "directory.py",
        "os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW",
        "os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC",
        "test_spool_faults.py::test_a_planted_symlink_is_not_followed",
    ),
    mistake(
        "those who ask take each other for the owner",
        "directory.py",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "test_spool.py::test_two_who_ask_at_once_do_not_take_each_other_for_the_owner",
    ),
    mistake(
        "leftovers settled by age alone",
        "directory.py",
        "        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n        if next",
        "        if next",
        "test_spool_processes.py::test_the_living_newborn_is_left_alone",
    ),
    mistake(
        "no drain lock",
        "directory.py",
        "            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n            if os.path.samestat",
        "            if os.path.samestat",
        "test_spool.py::test_one_drain_is_elected",
    ),
    mistake(
        "drain lock only closed, not given back",
        "directory.py",
        "            fcntl.flock(fd, fcntl.LOCK_UN)",
        "            pass",
        "test_spool_processes.py::test_a_child_does_not_keep_the_drains_lock",
    ),
    mistake(
        "drain lock kept by a forked child",
        "directory.py",
        "os.register_at_fork(after_in_child=_forget_elections)",
        "",
        "test_spool_processes.py::test_a_killed_drain_is_succeeded",
    ),
    Mutant(
        "liveness asked after reading",
        RECORD + "drain.py",
        (
            ("        owned = is_owned(path)  # before reading, never after\n", "        owned = False\n"),
            (
                "        if not owned:\n            self._load",
                "        if not is_owned(path):\n            self._load",
            ),
        ),
        ("test_drain_order.py::test_what_a_dying_process_writes_during_the_drain_is_kept",),
    ),
    Mutant(
        "cursor in its own transaction",
        RECORD + "drain.py",
        (
            (
                "        self._advance(connection, records)\n        return stored",
                "        return stored",
            ),
            (
                "            self._events += self._store(load.records)\n",
                "            self._events += self._store(load.records)\n" + _CURSOR_ALONE,
            ),
        ),
        ("test_drain_order.py::test_a_drain_that_ends_before_its_cursor_leaves_nothing",),
    ),
    mistake(
        "cursor dropped with its file",
        "drain.py",
        "            self._count_torn(path, header)\n            remove(path)\n",
        "            self._count_torn(path, header)\n            remove(path)\n"
        "            with writing(self._engine) as connection:\n"
        "                connection.execute(delete(spool_cursors))\n",
        "test_drain_order.py::test_the_cursor_outlives_its_file",
    ),
    mistake(
        "a living process's file removed",
        "drain.py",
        "        if not owned:\n            self._load",
        "        if True:\n            self._load",
        "test_drain.py::test_what_was_spooled_is_stored_and_rolled_up_once",
    ),
    mistake_apart(
        "a process for each worker",
        "            return True\n        try:",
        "            lock = os.dup(0)\n        try:",
        "test_one_process_is_enough_for_all_workers",
    ),
    mistake_apart(
        "a lock with the number of a standard stream",
        "lock = above_standard(os.open(home / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))",
        "lock = os.open(home / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)",
        "test_without_standard_streams_there_is_still_one_process",
    ),
    mistake_apart(
        "a fork while the process is started",
        "            with gate.inside():  # a worker",
        "            if True:  # a worker",
        "test_a_worker_forked_meanwhile_does_not_hold_up_the_answer",
    ),
    mistake_apart(
        "the settings among the arguments",
        '"-c", _BEGIN]',
        '"-c", _BEGIN, json.dumps(asked)]',
        "test_secrets_are_in_no_list_of_processes",
    ),
    mistake_apart(
        "what cannot begin is tried for ever",
        "            self._possible = False\n            raise StoreError",
        "            raise StoreError",
        "test_a_killed_one_loses_nothing",
    ),
    mistake_apart(
        "no deadline",
        "            if time.monotonic() < self._deadline:\n                return None\n            child.kill()",
        "            return None",
        "test_one_that_hangs_is_ended",
    ),
    mistake_apart(
        "drained, says one that was not elected",
        'return bool(told["elected"])',
        "return True",
        "test_another_drain_at_the_same_time_is_respected",
    ),
    mistake_apart(
        "a problem that nobody hears of",
        '        if told["problem"] is not None:\n            raise StoreError(told["problem"])\n',
        "",
        "test_a_problem_is_told_in_words",
    ),
    mistake_apart(
        "the child of another process waited for",
        "            child.returncode = 0  #",
        "            pass  #",
        "test_an_application_that_ends_hears_no_warning",
    ),
)


def copy_with(mutant: Mutant | None, place: Path) -> None:
    """Copy the package to `place`, with the mistake in it. Raises ValueError when a text to replace is not there once."""
    shutil.copytree(PACKAGE, place / PACKAGE.name)
    if mutant is None:
        return
    module = place / PACKAGE.name / mutant.module
    source = module.read_text()
    for old, new in mutant.changes:
        if source.count(old) != 1:
            raise ValueError(f"{mutant.name}: found {source.count(old)} times in {mutant.module}: {old!r}")
        source = source.replace(old, new)
    module.write_text(source)


def run_against_copy(place: Path, tests: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run tests of this folder in a process of their own that imports the copy instead of the package.

    Only the plugins it needs are loaded, which halves the time.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=short", "-p", "pytest_timeout", "--timeout=20"]
    command += ["-p", "_hypothesis_pytestplugin", "--hypothesis-seed=0"]
    command += [str(FOLDER / test) for test in tests]
    environment = {
        **os.environ,
        "PYTHONPATH": str(place),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "CALOS_FAULT_ROUNDS": "2",
    }
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
