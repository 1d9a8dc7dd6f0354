"""How the mark of a job is put into a name, and read from it again: for services that list names alone.

A name is for people first, and ends with whose installation it is and the mark or token. What a mark is for
is told in `plugins/jobs`.
"""

from __future__ import annotations

import hashlib
import re

MOST_CHARACTERS = 256

_MARK = re.compile(r" ([0-9a-f]{8}) ([a-z2-7]{32}(?:-[0-9a-f]{8})?)$")
_TAIL_CHARACTERS = 51  # blank, owner, blank, mark


def owner(installation: str) -> str:
    """Eight digits that tell what this installation made from what others made."""
    return hashlib.sha256(installation.encode()).hexdigest()[:8]


def marked(told: str, mark: str, installation: str) -> str:
    """A name of at most 256 ASCII characters, none unusual, that ends with this mark or token."""
    plain = re.sub(r"[^\w ./:@=+-]", "_", told, flags=re.ASCII)
    return f"{plain[: MOST_CHARACTERS - _TAIL_CHARACTERS]} {owner(installation)} {mark}"


def mark_in(name: str) -> str:
    """The mark or token that a name ends with; "" where it has none of ours."""
    found = _MARK.search(name)
    return found.group(2) if found else ""


def owner_in(name: str) -> str:
    """Whose installation a name is of; "" where it is nobody's."""
    found = _MARK.search(name)
    return found.group(1) if found else ""
