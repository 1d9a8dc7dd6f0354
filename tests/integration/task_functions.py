"""Functions that tests run elsewhere: a process finds them by this module's name or its file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from pydantic import BaseModel

from asyncflow.errors import TaskFailed, TerminalTaskFailed
from asyncflow.runtime.context import TaskContext


class Order(BaseModel):
    item: str
    count: int


def add(a: int, b: int) -> dict[str, int]:
    return {"sum": a + b}


def price(order: Order) -> Order:
    assert isinstance(order, Order)
    return Order(item=order.item, count=order.count * 2)


def whole(input: dict[str, object]) -> dict[str, object]:  # noqa: A002
    return {"keys": sorted(input)}


def process_id() -> dict[str, int]:
    return {"pid": os.getpid()}


def divide() -> float:
    return 1 / 0


def fail_for_good() -> None:
    raise TerminalTaskFailed("never again")


def fail() -> None:
    raise TaskFailed("not today")


def leave() -> None:
    sys.exit(3)


def vanish(code: int) -> None:
    os._exit(code)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wide(size: int) -> str:
    return "x" * size


def huge() -> int:
    return 10**5000


def no_json() -> object:
    return {"it": object()}


def say() -> None:
    print("to stdout")  # noqa: T201
    print("to stderr", file=sys.stderr)  # noqa: T201
    print("no end", end="")  # noqa: T201


def say_in_context(ctx: TaskContext) -> None:
    print("mine", end="")  # noqa: T201


def say_below_python() -> None:
    os.write(1, b"raw\n")
    sys.stdout.buffer.write(b"bytes\n")
    subprocess.run(["echo", "echoed"], stdout=sys.stdout, check=True)


def read_input() -> str:
    return sys.stdin.read()


def told(ctx: TaskContext) -> dict[str, object]:
    ctx.heartbeat()
    ctx.log("from afar", n=1)
    ctx.record_io(rows=2, bytes=30, direction="in")
    ctx.progress(0.5, "half")
    ctx.metric("pages", 3, {"kind": "a"})
    return {"token": ctx.token, "attempt": ctx.attempt, "task_id": ctx.task_id}


def hang(begun: str) -> None:
    """Tell by a file that it has begun, then compute for ever."""
    Path(begun).write_text(str(os.getpid()), encoding="utf-8")
    while True:
        pass


def hang_and_clean(begun: str, cleaned: str) -> None:
    Path(begun).write_text(str(os.getpid()), encoding="utf-8")
    try:
        signal.pause()
    finally:
        Path(cleaned).write_text("yes", encoding="utf-8")


def hang_deaf(begun: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hang(begun)


def hang_with_child(begun: str) -> None:
    """Start a program that would go on for minutes, and tell its id."""
    child = subprocess.Popen(["sleep", "300"])
    Path(begun).write_text(f"{os.getpid()} {child.pid}", encoding="utf-8")
    child.wait()


def spin(rounds: int) -> int:
    until = time.monotonic()
    return sum(1 for _ in range(rounds)) + int(until < 0)
