"""Tasks of Celery: in this process, and in a real worker with forked processes, stopped and killed."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import Celery  # type: ignore[import-untyped]
from celery.result import AsyncResult  # type: ignore[import-untyped]

from calos_telemetry import Settings, Telemetry
from calos_telemetry.sdk.instrument.celery import instrument_celery

from ..conftest import HOST, Stored

_TASKS = """
import os, signal, sqlite3
from pathlib import Path
from celery import Celery
from calos_telemetry import Telemetry, track_feature
from calos_telemetry.sdk.instrument.celery import instrument_celery
here = Path(__file__).parent
app = Celery("shop", broker="filesystem://", backend=f"file://{here / 'results'}")
app.conf.broker_transport_options = {
    "data_folder_in": str(here / "queue"), "data_folder_out": str(here / "queue"), "control_folder": str(here / "control"), "polling_interval": 0.05,
}
app.conf.worker_prefetch_multiplier = 1
app.conf.task_acks_late = True
telemetry = Telemetry()
instrument_celery(telemetry, features={"shop.mail": "newsletter"})

@app.task(name="shop.mail.send")
def send(who):
    track_feature(None, "mail_sent")
    telemetry.pipeline.query("SELECT orders", 5, None)
    return os.getpid()

@app.task(name="shop.pay.charge")
def charge(who):
    raise TimeoutError(f"no answer for {who}")

@app.task(name="shop.pay.flaky", bind=True, max_retries=3)
def flaky(self):
    if self.request.retries < 2:
        raise self.retry(exc=ConnectionError("away"), countdown=0)
"""


def transactions(stored: Stored) -> Counter[tuple[str, str | None]]:
    """Count the stored transactions by name and category of failure."""
    return Counter((e["name"], e.get("error")) for e in stored() if e.get("metric") == "transaction")


def test_tasks_in_this_process(telemetry: Telemetry, stored: Stored) -> None:
    """Success, failure and retry of eager tasks are transactions by name; results and exceptions are as without us."""
    app = Celery("eager", set_as_current=False)
    app.conf.task_always_eager = True

    @app.task(name="shop.add")  # type: ignore[untyped-decorator]
    def add(a: int, b: int) -> int:
        return a + b

    @app.task(name="shop.charge")  # type: ignore[untyped-decorator]
    def charge(who: str) -> None:
        raise TimeoutError(f"no answer for {who}")

    @app.task(name="shop.flaky", bind=True)  # type: ignore[untyped-decorator]
    def flaky(self: Any) -> None:
        if self.request.retries < 1:
            raise self.retry(exc=ConnectionError("away"), countdown=0)

    end = instrument_celery(telemetry, features={"shop.a": "adding"})
    instrument_celery(telemetry)
    assert add.delay(2, 3).get() == 5
    with pytest.raises(TimeoutError, match="alice"):
        charge.delay("alice@acme.example").get()
    flaky.delay()
    end()
    add.delay(2, 3)
    assert transactions(stored) == {
        ("shop.add", None): 1,
        ("shop.charge", "timeout"): 1,
        ("shop.flaky", "network"): 1,
        ("shop.flaky", None): 1,
    }
    assert [e["name"] for e in stored() if e["type"] == "error"] == ["TimeoutError"]
    assert [e["feature"] for e in stored() if e["type"] == "feature_usage"] == ["adding"]
    assert "alice" not in str(stored())
    assert telemetry.failures == {}


@contextmanager
def worker(place: Path) -> Iterator[tuple[Celery, subprocess.Popen[bytes]]]:
    """Yield a client and a real worker that serves it with two forked processes."""
    for folder in ("queue", "control", "results"):
        (place / folder).mkdir()
    (place / "shop_tasks.py").write_text(_TASKS)
    environment = {
        **os.environ,
        "CALOS_HOME": str(place / "home"),
        "CALOS_PUBLIC_HOST": HOST,
        "CALOS_LICENSE_SERVER": "http://127.0.0.1:9",
        "CALOS_DRAIN_SECONDS": "3600",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "celery", "-A", "shop_tasks", "worker", "--pool", "prefork", "-c", "2"]
    quiet = ["--loglevel", "ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    with (place / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *quiet], cwd=place, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    client = Celery("client", broker="filesystem://", backend=f"file://{place / 'results'}", set_as_current=False)
    client.conf.broker_transport_options = {
        "data_folder_in": str(place / "queue"), "data_folder_out": str(place / "queue"),
        "control_folder": str(place / "control"), "polling_interval": 0.05,
    }  # fmt: skip
    try:
        yield client, process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        client.close()


def ask(client: Celery, times: int) -> list[AsyncResult[Any]]:
    return [client.send_task("shop.mail.send", ("alice@acme.example",)) for _ in range(times)]


def recorded(home: Path) -> tuple[Counter[tuple[str, str | None]], Counter[str], int]:
    """Return transactions, features and queries that a worker left in its home."""
    import msgspec  # noqa: PLC0415
    from sqlalchemy import text  # noqa: PLC0415

    reader = Telemetry(Settings(home=home, public_host=HOST, server="http://127.0.0.1:9"))
    reader.flush()
    with reader.install.engine.connect() as connection:
        data = connection.execute(text("SELECT event_data FROM telemetry_events")).scalars().all()
    events = [msgspec.json.decode(each) for each in data]
    reader.close()
    assert "alice" not in str(events)
    tasks = Counter((e["name"], e.get("error")) for e in events if e.get("metric") == "transaction")
    used = Counter(e["feature"] for e in events if "feature" in e)
    return tasks, used, sum(e.get("count", 1) for e in events if e.get("metric") == "database_query")


@pytest.mark.timeout(120)
def test_a_real_worker_with_forked_processes(tmp_path: Path) -> None:
    """Every run of every task in every process is recorded exactly once, its queries too, when the worker is stopped."""
    with worker(tmp_path) as (client, process):
        sent = ask(client, 20)
        failing = [client.send_task("shop.pay.charge", ("alice@acme.example",)) for _ in range(3)]
        flaky = client.send_task("shop.pay.flaky")
        processes = {result.get(timeout=60) for result in sent}
        for result in failing:
            with pytest.raises(TimeoutError):
                result.get(timeout=60)
        flaky.get(timeout=60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0, (tmp_path / "worker.log").read_text()
    assert process.pid not in processes
    tasks, used, queries = recorded(tmp_path / "home")
    assert tasks == {
        ("shop.mail.send", None): 20,
        ("shop.pay.charge", "timeout"): 3,
        ("shop.pay.flaky", "network"): 2,
        ("shop.pay.flaky", None): 1,
    }
    assert used == {"mail_sent": 20, "newsletter": 20}
    assert queries == 20


@pytest.mark.timeout(120)
def test_what_a_killed_worker_recorded_is_there(tmp_path: Path) -> None:
    """After SIGKILL of the worker and its processes, all that ran before the last result of each process is recorded."""
    with worker(tmp_path) as (client, process):
        for result in ask(client, 10):
            result.get(timeout=60)
        os.killpg(process.pid, signal.SIGKILL)
    tasks, used, _ = recorded(tmp_path / "home")
    assert used["mail_sent"] == 10
    assert 8 <= tasks["shop.mail.send", None] <= 10  # the result is published before the run ends
