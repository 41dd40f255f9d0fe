"""The stubs say what the module is, and both say what the header says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import jimbot
from jimbot import _core

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = Path(jimbot.__file__).parent


def run_mypy(tmp_path: Path, *args: str) -> None:
    env = os.environ | {"MYPYPATH": str(PACKAGE.parent), "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-m", *args], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stubs_match_the_module(tmp_path: Path) -> None:
    # Before Python 3.12 a type that exports a buffer has no attribute that says so.
    allowed = tmp_path / "allowed"
    allowed.write_text(".*\\.__buffer__\n")
    args = ("--allowlist", str(allowed), "--ignore-unused-allowlist")
    run_mypy(tmp_path, "mypy.stubtest", *args, "jimbot")


def test_the_package_the_tests_and_the_benchmark_are_typed(tmp_path: Path) -> None:
    benches = [ROOT / "tests/bench" / name for name in ("bench_python.py", "bus/headers.py")]
    files = sorted(Path(__file__).parent.glob("*.py")) + benches
    package = sorted(PACKAGE.glob("*.py"))
    allow = "--disable-error-code=func-returns-value"
    run_mypy(tmp_path, "mypy", "--strict", allow, *map(str, package + files))


def test_event_types_are_those_of_the_library_and_the_header() -> None:
    named = {t.name: int(t) for t in jimbot.EventType}
    assert {k.upper(): v for k, v in _core.event_types().items() if v != 0} == {
        k: v for k, v in named.items() if v != 0
    }
    text = (ROOT / "include/jimbot/event.h").read_text()
    header = text.split("enum jb_event_type {")[1].split("};")[0]
    in_header = {k: int(v) for k, v in re.findall(r"JB_EVENT_([A-Z_]+) = (\d+)", header)}
    assert named == in_header


def test_there_is_a_class_for_every_status_code() -> None:
    header = (ROOT / "include/jimbot/base.h").read_text()
    codes = re.findall(r"XX\(JB_E\w+, (-\d+), (\w+),", header)
    assert len(codes) > 10
    for code, name in codes:
        cls = getattr(jimbot, "EventError" if name == "Event" else name)
        assert issubclass(cls, jimbot.Error) and cls.code == int(code)
        assert cls.__name__ in jimbot.__all__ and cls.__module__ == "jimbot"


def test_the_package_exports_what_it_says() -> None:
    assert sorted(jimbot.__all__) == jimbot.__all__
    for name in jimbot.__all__:
        assert getattr(jimbot, name) is not None
    assert jimbot.version == jimbot.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", jimbot.version)
