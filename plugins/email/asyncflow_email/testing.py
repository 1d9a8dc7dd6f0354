"""A manager for a mail server of this machine, for tests of it and of workflows that use it.

The server is `asyncflow.testing.mail`, or any other.
"""

from __future__ import annotations

from collections.abc import Callable

from asyncflow.plugins.resources import ResourceContext
from asyncflow_email.manager import EmailConfig, EmailManager

SECRET = "a-secret-that-nobody-sees"  # noqa: S105  # it opens nothing


def local_manager(port: int, *, now_ms: Callable[[], int] = lambda: 0, **settings: object) -> EmailManager:
    """A manager that is not opened yet and speaks to this port."""
    given = {"host": "127.0.0.1", "port": port, "sender": "Reports <reports@example.com>", **settings}
    config = EmailConfig.model_validate({"timeout_s": 5.0, "password": SECRET, **given})
    return EmailManager(config, ResourceContext("mail", now_ms=now_ms))
