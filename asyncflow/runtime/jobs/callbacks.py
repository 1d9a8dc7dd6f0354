"""Addresses that services call when a job has ended: made, and checked when somebody calls one.

An address says nothing by itself: a call only has the job polled at once. Still it must not be guessed,
or anybody who can see a job's token could have a service polled for ever.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

# The token of a job is on the job, for all to see who may list jobs of that service, and is a function of
# ids that are shown everywhere. So the address carries a proof: the token's HMAC under a key that is drawn
# at random, never shown, and kept. Nothing has to be stored for each address, and it holds over restarts.


class Callbacks:
    """The addresses of one installation."""

    def __init__(self, address: str, key: bytes) -> None:
        """`address` is where the server is reached from outside, without a slash at its end.

        Without an address or a key no job gets one, and polls are all there is.
        """
        self._address = address.rstrip("/") if key else ""
        self._key = key

    @property
    def is_on(self) -> bool:
        """Whether jobs get an address."""
        return bool(self._address)

    def url(self, token: str) -> str:
        """The address for a job; "" where nobody could be reached."""
        return f"{self._address}/{token}/{self.proof(token)}" if self._address else ""

    def proof(self, token: str) -> str:
        """32 characters of `[a-z2-7]` that only this installation can tell of a token."""
        digest = hmac.new(self._key, f"job-callback:{token}".encode(), hashlib.sha256).digest()
        return base64.b32encode(digest)[:32].decode().lower()

    def is_genuine(self, token: str, proof: str) -> bool:
        """Whether the two belong together; takes as long for a wrong proof as for the right one."""
        return bool(self._key) and hmac.compare_digest(self.proof(token).encode(), proof.encode())
