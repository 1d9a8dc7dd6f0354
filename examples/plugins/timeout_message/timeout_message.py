"""A listener: whenever the task of one reference name times out, a message goes to one address."""

from asyncflow.plugins.listeners import CommittedEvent
from asyncflow.watchers.webhook import Webhook, WebhookConfig


class Config(WebhookConfig):
    ref: str


class TimeoutMessage(Webhook):
    Config = Config
    patterns = ("task.timed_out",)

    async def on_event(self, event: CommittedEvent) -> None:
        if event.data.get("ref") == self.config.ref:
            await super().on_event(event)
