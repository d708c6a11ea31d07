"""The gate between forks and delicate work of other threads."""

import os
import threading
import time

from calos_telemetry.forks import ForkGate


def hold(gate: ForkGate, entered: threading.Event, leave: threading.Event) -> None:
    with gate.inside():
        entered.set()
        leave.wait(10)


def test_a_fork_waits_until_the_work_of_other_threads_is_done() -> None:
    """While a thread is inside, a fork waits; when it leaves, the fork goes on, and the child inherits nothing."""
    gate, entered, leave = ForkGate(), threading.Event(), threading.Event()
    worker = threading.Thread(target=hold, args=(gate, entered, leave))
    worker.start()
    entered.wait(10)
    went_on = threading.Event()

    def fork() -> None:
        gate.before_fork()
        went_on.set()
        gate.after_fork_in_parent()

    forker = threading.Thread(target=fork)
    forker.start()
    assert not went_on.wait(0.05)
    leave.set()
    assert went_on.wait(10)
    worker.join()
    forker.join()
    gate.before_fork()
    gate.after_fork_in_child()
    assert not gate.inherited_work


def test_the_wait_is_bounded_and_the_child_knows() -> None:
    """Work that takes too long does not hang the fork: the child is told that it inherited work half done."""
    gate, entered, leave = ForkGate(patience=0.05), threading.Event(), threading.Event()
    worker = threading.Thread(target=hold, args=(gate, entered, leave))
    worker.start()
    entered.wait(10)
    began = time.monotonic()
    gate.before_fork()
    assert time.monotonic() - began < 5
    gate.after_fork_in_child()
    assert gate.inherited_work
    leave.set()
    worker.join()


def test_who_forks_inside_does_not_wait_for_itself() -> None:
    """A thread that is inside itself forks at once, may come in once more meanwhile, and goes on afterwards."""
    gate = ForkGate()
    began = time.monotonic()
    with gate.inside():
        gate.before_fork()
        with gate.inside():
            pass
        gate.after_fork_in_parent()
    assert time.monotonic() - began < 4
    gate.before_fork()
    gate.after_fork_in_child()
    assert not gate.inherited_work


def test_nobody_comes_in_during_a_fork() -> None:
    """Who wants in while a fork is under way gets in after it."""
    gate, entered, leave = ForkGate(), threading.Event(), threading.Event()
    leave.set()
    gate.before_fork()
    worker = threading.Thread(target=hold, args=(gate, entered, leave))
    worker.start()
    assert not entered.wait(0.05)
    gate.after_fork_in_parent()
    assert entered.wait(10)
    worker.join()


def test_the_gate_of_the_package_follows_real_forks() -> None:
    """The hooks are registered: in a real child nobody is inside, and forking again works."""
    pid = os.fork()
    if pid == 0:
        grandchild = os.fork()
        os._exit(0 if grandchild == 0 else os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
    assert os.waitpid(pid, 0)[1] == 0
