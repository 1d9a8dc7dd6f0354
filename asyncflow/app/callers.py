"""Who calls, and what that allows: roles in order.

It knows no key and no header; `app/keys` does. The routes name the role that each needs.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


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
    """Who sent a request, as the credentials say; never what the request says of itself.

    Attributes:
        name: the name of the key.
        key_id: the id of the key, '' where none is asked for.
        expires_ms: when the credentials cease to be good, wall clock; 0 means never.
    """

    name: str
    role: Role
    key_id: str = ""
    expires_ms: int = 0


ANONYMOUS = Caller("anonymous", Role.ADMIN)
"""Everybody, where no keys are asked for."""

NOBODY = Caller("nobody", Role.OPEN)
"""Whoever calls an open route without credentials, where keys are asked for."""
