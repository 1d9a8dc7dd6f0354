"""The three standard streams, so that a command can rely on them however it was started.

It knows nothing of what is written; `output` writes results, `root` turns a reader that went away
into an exit code. What is said on stderr is talk, and nobody listening changes nothing.
"""

from __future__ import annotations

import io
import os
import sys


class Talk(io.TextIOWrapper):
    """Stderr that never fails: with a closed pipe or a full disk behind it, what is said is lost."""

    def write(self, text: str, /) -> int:
        """Say it, or drop it."""
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """Send what was said, or drop it."""
        try:
            super().flush()
        except OSError:
            return


def prepare_streams() -> None:
    """Give this process all three streams, and a stderr that cannot end it.

    A supervisor or a shell may start it with some of them closed. The next file opened would then
    take their place: uvloop aborts at that, and talk would be written into a database.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    # Python has None for what was closed when it started.
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - open to the end
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - open to the end
    encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
    talk = open(2, "wb", closefd=False)  # noqa: SIM115 - open to the end
    sys.stderr = Talk(talk, encoding, "backslashreplace", line_buffering=True)
