"""How a token is put into the name of a step or cluster, and read from it again.

EMR lists names and no tags of steps, so the name is the only mark that can be looked for.
"""

from __future__ import annotations

import hashlib
import re

from asyncflow.plugins.jobs import Job

_MARK = re.compile(r" ([0-9a-f]{8}) ([a-z2-7]{32}(?:-[0-9a-f]{8})?)$")
_MOST_CHARACTERS = 256
_TAIL_CHARACTERS = 51  # blank, owner, blank, mark


def owner(installation: str) -> str:
    """Eight digits that tell what this installation made from what others made."""
    return hashlib.sha256(installation.encode()).hexdigest()[:8]


def step_name(job: Job, installation: str) -> str:
    """The name of a step: for people first, the mark at its end."""
    told = _plain(f"{job.workflow_name}/{job.ref}")
    return f"{told[: _MOST_CHARACTERS - _TAIL_CHARACTERS]} {owner(installation)} {job.mark}"


def cluster_name(prefix: str, token: str, installation: str) -> str:
    """The name of a cluster, the token at its end."""
    return f"{_plain(prefix)[: _MOST_CHARACTERS - _TAIL_CHARACTERS]} {owner(installation)} {token}"


def mark_in(name: str) -> str:
    """The mark or token that a name ends with; "" where it has none of ours."""
    found = _MARK.search(name)
    return found.group(2) if found else ""


def owner_in(name: str) -> str:
    """Whose installation a name is of; "" where it is nobody's."""
    found = _MARK.search(name)
    return found.group(1) if found else ""


def _plain(text: str) -> str:
    """Without what EMR refuses in names."""
    return re.sub(r"[^\w ./:@=+-]", "_", text, flags=re.ASCII)
