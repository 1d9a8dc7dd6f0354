"""How far an execution is, on stderr: a live line per task name, or a plain line now and then.

It counts what it is told and shows it; it asks the engine nothing. On a terminal rich draws, in a
thread of its own; elsewhere one line goes out every few seconds while something changes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

import click

from asyncflow.cli.output import cell, duration
from asyncflow.model.statuses import IN_PROGRESS, TASK_SUCCESSFUL

if TYPE_CHECKING:
    from rich.console import RenderableType

Mode = Literal["auto", "live", "plain", "off"]

_EVERY_S = 5.0
_LIVE_PER_S = 8
_LINES = 12


progress_option = click.option(
    "--progress",
    type=click.Choice(["auto", "live", "plain", "off"]),
    default="auto",
    show_default=True,
    help="How progress is shown on stderr.",
)
"""The option of every command that runs something."""


class Seen(Protocol):
    """A task record as it is followed; see `app/following`."""

    @property
    def name(self) -> str:
        """The task's name."""

    @property
    def executor(self) -> str:
        """Who performs it; empty for operators."""

    @property
    def status(self) -> str:
        """Conductor's status."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""


@dataclass(slots=True)
class Count:
    """Records of one task name by what became of them."""

    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """All records so far."""
        return self.waiting + self.running + self.done + self.failed

    def move(self, seen: Seen, step: int) -> None:
        """Add or take away one record in its present status."""
        if seen.status in TASK_SUCCESSFUL:
            self.done += step
        elif seen.is_over:
            self.failed += step
        elif seen.status == IN_PROGRESS:
            self.running += step
        else:
            self.waiting += step


@dataclass(slots=True)
class Counts:
    """Counts by task name, in the order in which the names were met."""

    by_name: dict[str, Count] = field(default_factory=dict)

    def seen(self, seen: Seen, old: Seen | None) -> None:
        """A record is new, or changed; operators are not counted."""
        if not seen.executor:
            return
        count = self.by_name.setdefault(seen.name, Count())
        if old is not None:
            count.move(old, -1)
        count.move(seen, 1)

    def sum(self) -> Count:
        """All names together."""
        total = Count()
        for count in list(self.by_name.values()):
            total.waiting += count.waiting
            total.running += count.running
            total.done += count.done
            total.failed += count.failed
        return total

    def line(self) -> str:
        """All names together, as one line."""
        total = self.sum()
        parts = [f"{total.done} of {total.total} tasks done"]
        parts += [f"{total.running} running"] if total.running else []
        parts += [f"{total.waiting} waiting"] if total.waiting else []
        parts += [f"{total.failed} failed"] if total.failed else []
        return ", ".join(parts)


class Progress:
    """Shows counts while its context lasts; `seen` is to be a listener of the following."""

    def __init__(self, mode: Mode = "auto") -> None:
        """Show nothing yet; with "auto" a terminal gets live lines, everything else plain ones."""
        self.counts = Counts()
        self._mode: Mode = _chosen(mode)
        self._begin = time.monotonic()
        self._said = ""
        self._alarm: asyncio.TimerHandle | None = None
        self._live: _Live | None = None

    def seen(self, seen: Seen, old: Seen | None) -> None:
        """Count it."""
        self.counts.seen(seen, old)

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._mode == "live":
            self._live = _Live(self)
            self._live.start()
        elif self._mode == "plain":
            self._alarm = asyncio.get_running_loop().call_later(_EVERY_S, self._say)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state standing."""
        if self._live is not None:
            self._live.stop()
        if self._alarm is not None:
            self._alarm.cancel()

    def note(self, text: str) -> None:
        """Say something above what is shown."""
        if self._mode != "off":
            click.echo(text, err=True)

    @property
    def elapsed_ms(self) -> int:
        """How long it has been shown."""
        return round((time.monotonic() - self._begin) * 1000)

    def _say(self) -> None:
        line = self.counts.line()
        if line != self._said:
            self._said = line
            click.echo(f"{duration(self.elapsed_ms)}: {line}", err=True)
        self._alarm = asyncio.get_running_loop().call_later(_EVERY_S, self._say)


class _Live:
    """The live lines: rich asks for them from its own thread, several times a second."""

    def __init__(self, progress: Progress) -> None:
        # rich costs 50 ms at import: only a terminal pays for it.
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        self._progress = progress
        console = Console(stderr=True, highlight=False)
        self._live = Live(
            console=console, get_renderable=self.lines, refresh_per_second=_LIVE_PER_S, redirect_stdout=False
        )

    def start(self) -> None:
        """Begin to draw."""
        self._live.start(refresh=True)

    def stop(self) -> None:
        """Draw once more and leave it standing."""
        self._live.stop()

    def lines(self) -> RenderableType:
        """A line per task name that is the busiest now, and one for all."""
        from rich.table import Table  # noqa: PLC0415 - see above

        table = Table.grid(padding=(0, 2))
        counts = self._progress.counts
        shown = list(counts.by_name.items())
        busy = sorted(shown, key=lambda item: (item[1].running + item[1].waiting == 0, -item[1].total))
        for name, count in busy[:_LINES]:
            table.add_row(_plain(cell(name)), f"{count.done}/{count.total}", *_details(count))
        if len(busy) > _LINES:
            table.add_row(f"and {len(busy) - _LINES} more names")
        table.add_row(duration(self._progress.elapsed_ms), counts.line())
        return table


def _plain(text: str) -> str:
    """A name as rich shows it literally, whatever brackets are in it."""
    return text.replace("[", "\\[")


def _details(count: Count) -> list[str]:
    running = f"{count.running} running" if count.running else ""
    failed = f"{count.failed} failed" if count.failed else ""
    return [running, failed]


def _chosen(mode: Mode) -> Mode:
    if mode != "auto":
        return mode
    return "live" if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else "plain"
