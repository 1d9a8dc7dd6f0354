"""Who calls, and what that allows: roles in order, and what the surfaces ask of whoever knows keys.

It knows no key and no header; `app/keys` does. The routes name the role that each needs.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class Role(enum.IntEnum):
    """What a caller may do; each role may do all that a lower one may."""

    OPEN = 0
    """Nothing is asked of the caller."""
    VIEWER = 1
    """Read."""
    OPERATOR = 2
    """Start and steer executions, and work on tasks."""
    AUTHOR = 3
    """Change definitions."""
    ADMIN = 4
    """Change keys and what concerns the whole server."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, as the credentials say; never what the request says of itself."""

    name: str
    role: Role


ANONYMOUS = Caller("anonymous", Role.ADMIN)
"""Everybody, where no keys are asked for."""

NOBODY = Caller("nobody", Role.OPEN)
"""Whoever calls an open route without credentials, where keys are asked for."""


class Authenticator(Protocol):
    """Whoever can tell a caller from the headers of a request."""

    @property
    def is_required(self) -> bool:
        """Whether callers need credentials; without, everybody is `ANONYMOUS`."""

    def authenticate(self, headers: Mapping[str, str]) -> Caller | None:
        """The caller, or None where credentials are missing, unknown or expired.

        Args:
            headers: names are found in any case.
        """
