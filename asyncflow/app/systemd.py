"""What a service tells systemd of itself, by the protocol of `sd_notify(3)`: few words over a datagram.

It is told and never asks: nothing depends on whether anybody listens. What is told when is decided by
`cli/serve`, which also says when it is over.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Self

from asyncflow.runtime.clock import pause

log = logging.getLogger("asyncflow.serve")

_SOCKET, _WATCHDOG, _PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
_BEAT_S = 10.0  # between two signs of life where the watchdog asks for none sooner


@dataclass(slots=True)
class Systemd:
    """The service manager that started this process, if there is one that wants to hear of it.

    Attributes:
        watchdog_s: within which it wants signs of life once the service is ready; 0 if it wants none.
    """

    address: str = ""
    watchdog_s: float = 0.0
    _is_starting: bool = True
    _is_deaf: bool = False

    @classmethod
    def of(cls, environment: MutableMapping[str, str]) -> Self:
        """Whom these variables name; they are taken out, so that no child speaks for this process."""
        address = environment.pop(_SOCKET, "")
        span, pid = environment.pop(_WATCHDOG, ""), environment.pop(_PID, "")
        is_ours = not pid or pid == str(os.getpid())
        microseconds = int(span) if span.isdecimal() and is_ours else 0
        return cls(address if address.startswith(("/", "@")) else "", microseconds / 1_000_000)

    def tell(self, *words: str) -> None:
        """Send words such as `READY=1`; a manager that cannot be reached is told of in the log, once."""
        if not self.address:
            return
        name = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
                link.setblocking(False)
                link.sendto("\n".join(words).encode(), name)
        except OSError as error:
            if not self._is_deaf:
                log.warning("systemd cannot be told anything at %s: %s", self.address, error)
            self._is_deaf = True

    def ready(self, status: str) -> None:
        """New work is taken."""
        self._is_starting = False
        self.tell("READY=1", f"STATUS={status}", f"MAINPID={os.getpid()}")

    def stopping(self, status: str, within_s: float) -> None:
        """No new work is taken, and the end is near."""
        self.tell("STOPPING=1", f"STATUS={status}", _more_time(within_s))

    async def live(self, opening: str) -> None:
        """Tell for ever that the loop turns; cancelled by the end of the service.

        Until it is ready that asks for more time, as opening takes as long as there is to do.
        """
        beat_s = min(self.watchdog_s / 2 or _BEAT_S, _BEAT_S)
        while self.address:
            if self._is_starting:
                self.tell(f"STATUS={opening}", _more_time(3 * beat_s))
            else:
                self.tell("WATCHDOG=1")
            await pause(beat_s)


def _more_time(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}"
