"""The frameworks' own tests: where they come from, and how to run them with and without our middleware."""

import json
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "calos-telemetry" / "suites"
NEEDED = ("python-multipart", "dirty-equals", "inline-snapshot", "trio", "pyyaml")
_PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


@dataclass(frozen=True)
class Framework:
    """A framework: its package, the tests of a quick look, and all that have to do with requests."""

    package: str
    quick: tuple[str, ...]
    whole: tuple[str, ...]
    options: tuple[str, ...] = ()

    @property
    def is_django(self) -> bool:
        """Tell whether the tests are unittest's."""
        return self.package == "django"


@dataclass
class Outcome:
    """How each test went, and what telemetry made of the requests in them."""

    outcomes: dict[str, str] = field(default_factory=dict)
    recorded: int = 0
    failures: dict[str, int] = field(default_factory=dict)


class NotThereError(Exception):
    """The tests cannot be had: no index, or no sdist with tests on it."""


_ANYIO = ("-p", "anyio", "-k", "not trio")
FRAMEWORKS = [
    Framework(
        "starlette",
        ("tests/test_responses.py", "tests/test_requests.py", "tests/test_websockets.py", "tests/middleware/test_errors.py"),
        ("tests",),
        _ANYIO,
    ),
    Framework(
        "fastapi",
        ("tests/test_dependency_contextvars.py", "tests/test_dependency_after_yield_streaming.py", "tests/test_ws_router.py",
         "tests/test_exception_handlers.py", "tests/test_custom_middleware_exception.py"),
        ("tests", "--ignore=tests/benchmarks", "--ignore=tests/memory_benchmarks", "--ignore=tests/test_tutorial"),
        (*_ANYIO, "-p", "pytest_timeout", "-p", "xdist.plugin", "--ignore=tests/test_prepare_release.py"),
    ),
    Framework("flask", ("tests/test_basic.py", "tests/test_testing.py", "tests/test_views.py"), ("tests",)),
    Framework(
        "django",
        ("handlers", "asgi", "wsgi"),
        ("handlers", "asgi", "wsgi", "requests_tests", "middleware", "middleware_exceptions", "test_client",
         "test_client_regress", "httpwrappers", "view_tests", "urlpatterns", "urlpatterns_reverse", "responses", "servers",
         "csrf_tests", "sessions_tests", "messages_tests", "conditional_processing", "decorators", "file_uploads",
         "generic_views", "builtin_server", "logging_tests", "signed_cookies_tests", "async", "context_processors",
         "staticfiles_tests", "auth_tests", "admin_views"),
    ),
]  # fmt: skip


def source_of(framework: Framework) -> Path:
    """Return the unpacked sdist of the installed version.  Raises :class:`NotThereError`."""
    name = f"{framework.package}-{version(framework.package)}"
    place = CACHE / name
    if not (place / "tests").is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        _pip("download", "--no-binary", ":all:", "--no-deps", "--dest", str(CACHE), name.replace("-", "==", 1))
        with tarfile.open(CACHE / f"{name}.tar.gz") as archive:
            archive.extractall(CACHE, filter="data")
    if not (place / "tests").is_dir():
        raise NotThereError(f"the sdist of {name} carries no tests")
    return place


def extras() -> Path:
    """Return a directory with what the tests need beyond our own environment.  Raises :class:`NotThereError`."""
    place = CACHE / f"extras-{sys.version_info.major}.{sys.version_info.minor}"
    if not place.is_dir():
        _pip("install", "--target", str(place), *NEEDED)
    return place


def _pip(*arguments: str) -> None:
    done = subprocess.run([*_PIP, *arguments], capture_output=True, check=False, timeout=300)
    if done.returncode:
        raise NotThereError(f"pip {arguments[0]} of {arguments[-1]} failed: is the package index out of reach?")


def run(framework: Framework, tests: tuple[str, ...], scratch: Path, *, around: bool) -> Outcome:
    """Run tests of a framework in a process of their own; with ``around``, our middleware is around every application."""
    source = source_of(framework)
    answer = scratch / f"{framework.package}-{around}.json"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("CALOS_", "PYTEST_"))}
    env |= {
        "PYTHONPATH": str(HERE),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONHASHSEED": "0",
        "CALOS_EXTRAS": str(extras()),
        "CALOS_OUTCOMES": str(answer),
        "CALOS_AROUND": str(scratch / f"{framework.package}-home") if around else "",
        "CALOS_HOME": str(scratch / "unused"),
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "calos_around",
        "-p",
        "no:cacheprovider",
        *framework.options,
        *tests,
    ]
    if framework.is_django:
        command = [sys.executable, "-m", "calos_around", "--parallel=1", "--noinput", *tests]
    done = subprocess.run(
        command, cwd=source / "tests" if framework.is_django else source, env=env, capture_output=True, check=False
    )
    if not answer.exists():
        raise AssertionError(done.stdout.decode()[-4000:] + done.stderr.decode()[-4000:])
    read: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return Outcome(**read)
