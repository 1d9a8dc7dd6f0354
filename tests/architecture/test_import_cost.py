"""C136: asyncflow is light to add. Importing it costs little, loads nothing heavy, and configures nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_HEAVY = {"aiohttp", "quickjs", "jq", "rich", "uvloop", "click", "yaml", "hypothesis", "pytest"}

_COST = """
import json, sys
def cost(name):
    calls = 0
    def heard(frame, event, argument):
        nonlocal calls
        calls += event == "call"
    sys.setprofile(heard)
    __import__(name)
    sys.setprofile(None)
    return calls
known = cost("pydantic") + cost("aiosqlite") + cost("anyio") + cost("aiohttp")
print(json.dumps([known, cost("asyncflow")]))
"""

_GLOBALS = """
import asyncio, logging, signal, sys, warnings, threading, os, json
def seen():
    root = logging.getLogger()
    return [len(root.handlers), root.level, logging.getLogger("asyncflow").handlers == [],
            str(signal.getsignal(signal.SIGINT)), str(signal.getsignal(signal.SIGTERM)),
            sys.getrecursionlimit(), sys.get_int_max_str_digits(), len(warnings.filters),
            threading.active_count(), os.getcwd(), type(asyncio.get_event_loop_policy()).__name__,
            sys.excepthook is sys.__excepthook__, sorted(os.environ)]
import pydantic, aiosqlite, anyio
before = seen()
import asyncflow
print(json.dumps([before, seen()]))
"""

_FIVE_LINES = """
import asyncio, asyncflow as af
@af.task
async def greet(who: str) -> str: return f"hello {who}"
async def main():
    with af.Workflow("w") as wf: wf >> greet.node(who=wf.input.who)
    async with af.Engine() as engine: print((await engine.run(wf, {"who": "you"}))["result"])
asyncio.run(main())
"""


def _printed(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_c136_import_loads_nothing_heavy(checkout: Path) -> None:
    loaded = _printed("import asyncflow, sys; print(*sys.modules)", checkout).split()

    assert _HEAVY & set(loaded) == set()


def test_c136_import_costs_less_than_what_it_stands_on(checkout: Path) -> None:
    """Calls of Python functions, which no machine and no load changes: by far."""
    known, ours = json.loads(_printed(_COST, checkout))

    assert 0 < ours < known / 100


def test_c136_import_configures_nothing_global(checkout: Path) -> None:
    before, after = json.loads(_printed(_GLOBALS, checkout))

    assert after == before


def test_c136_embedding_takes_five_lines(checkout: Path) -> None:
    assert _printed(_FIVE_LINES, checkout) == "hello you\n"
