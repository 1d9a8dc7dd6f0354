"""Files that tasks name by their path: read from one folder alone, and never more than was allowed.

Nothing is written here. For managers that take files by reference; it blocks, so it belongs into a thread.
"""

from __future__ import annotations

from pathlib import Path

from asyncflow.plugins.errors import Rejected


def read_inside(folder: Path | None, path: str, *, most_bytes: int, what: str) -> tuple[str, bytes]:
    """The name and content of a file that lies under the folder when all links are resolved.

    Args:
        most_bytes: a larger file is refused, whatever its size was said to be.
        what: what the files are, for people: "attachments".

    Raises:
        Rejected: there is no folder, no such file in it, or too large a one; or it cannot be read now.
    """
    if folder is None:
        raise Rejected(f"no folder for {what} is configured", is_final=True)
    try:
        base = folder.resolve()
        found = (base / path).resolve()
    except (OSError, ValueError):
        raise Rejected(f"not a path: {path[:200]!r}", is_final=True) from None
    if not found.is_relative_to(base) or not found.is_file():
        raise Rejected(f"not a file in the folder for {what}: {path[:200]!r}", is_final=True)
    try:
        with found.open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise Rejected(f"cannot read {path[:200]!r}: {error.strerror}") from None
    if len(content) > most_bytes:
        raise Rejected(f"{what} of more than {most_bytes} bytes", is_final=True)
    return found.name, content
