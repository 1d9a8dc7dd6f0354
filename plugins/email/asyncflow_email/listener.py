"""The listener `mail`: each event goes out as one mail, over the connections of the resource `email`.

An event that is told again goes out again, under the same `Message-ID`, by which mailboxes tell repeats.
"""

from __future__ import annotations

import re
import time
from typing import ClassVar

from pydantic import Field
from pydantic_core import to_json

from asyncflow.ids import attempt_token
from asyncflow.plugins.jobs import Job
from asyncflow.plugins.listeners import CommittedEvent, Listener
from asyncflow.plugins.resources import PluginConfig, ResourceContext
from asyncflow_email.manager import EmailConfig, EmailManager

_UNUSUAL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class MailConfig(EmailConfig):
    """Settings of a resource of type `email`, and who gets the mails."""

    to: tuple[str, ...] = Field(min_length=1, max_length=100)
    subject_prefix: str = Field(default="", max_length=100)


class MailListener(Listener):
    """Mails events."""

    Config: ClassVar[type[PluginConfig]] = MailConfig

    def __init__(self, name: str, config: PluginConfig) -> None:
        """Connect to nothing yet."""
        super().__init__(name, config)
        assert isinstance(config, MailConfig)
        self._settings = config
        self._mails = EmailManager(config, ResourceContext(name, now_ms=_now_ms))

    async def open(self) -> None:
        """Check the sender, read certificates."""
        await self._mails.open()

    async def close(self) -> None:
        """Close the connections."""
        await self._mails.close()

    async def on_event(self, event: CommittedEvent) -> None:
        """Send the mail; raises as `EmailManager.submit`."""
        about = _UNUSUAL.sub(" ", str(event.data.get("ref") or event.data.get("workflow") or event.subject))
        facts = to_json({"id": event.id, **event.data}, indent=2, inf_nan_mode="null").decode()
        given: dict[str, object] = {
            "to": [*self._settings.to],
            "subject": f"{self._settings.subject_prefix}{event.name} {about}".strip(),
            "text": f"{event.name}\n\n{facts}\n",
        }
        token = attempt_token("listener", event.id, self.name, attempt=1, epoch=0)
        await self._mails.submit(Job(token, event.subject, given, "EMAIL"))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000  # noqa: TID251  # a listener is given no clock
