"""Which installation a database file is: the part of every token that tells it from all others.

It draws nothing and knows no file; the id is drawn when a file is made. Who derives what from it are
`runtime/jobs/preparing`, `runtime/performing` and `runtime/payload_folder`.
"""

from __future__ import annotations

from typing import NamedTuple


class Installation(NamedTuple):
    """The id, and since when it holds.

    A file of an early release had none, so that two such files asked services under the same tokens. What
    was begun before it got one goes on under the tokens that services know of it.
    """

    id: str = ""
    since_ms: int = 0

    def of(self, begun_ms: int) -> str:
        """What goes into tokens of what was begun then, on the elapsed clock."""
        return self.id if begun_ms >= self.since_ms else ""


NOT_DRAWN = Installation()
"""That of an engine whose database was not asked for its id."""
