"""The section `[listeners.NAME]`: what is said of one listener, its plugin's own settings included.

Who is told of what is in `listeners`; here it is only read and looked at, so that a mistake is told before
anything is opened.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from asyncflow.app.event_names import names_heard
from asyncflow.app.plugin_settings import shown_config
from asyncflow.app.resource_config import Duration
from asyncflow.errors import ConfigurationError
from asyncflow.model.values import JsonObject
from asyncflow.plugins.listening import ListenerSettings, Start
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.settings import faults_of, read_config

DOCUMENT = "listener"
"""The kind of the documents that listeners are stored as: what a request said of them."""


class ListenerSection(BaseModel):
    """One listener that hears of events. Keys that are not among these are settings of the plugin."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = ""
    """Which plugin it is; the name of the section unless it says another."""
    patterns: tuple[str, ...] = ()
    """Names of events, of those that the plugin hears of; all of them if there are none here."""
    start: Start = Field(default="now", validation_alias=AliasChoices("from", "start"))
    """Where it begins when it is new, under the key `from`; afterwards it goes on where it was."""
    timeout: Duration = 30.0
    """How long it may take for one event."""
    retries: int = Field(default=6, ge=0, le=1_000_000)
    """How often one event is told again; then it is passed over."""
    retry_first: Duration = 1.0
    """The delay before the first time, doubled each time."""
    retry_max: Duration = 300.0
    max_lag: int = Field(default=1_000_000, ge=0)
    """Turns that the journal keeps for it at most; 0 for any number."""
    keep: int = Field(default=0, ge=0, le=10_000_000)
    """Turns that it was told of and that the journal keeps besides, so that they can be told again."""

    @property
    def config(self) -> JsonObject:
        """The settings of the plugin, with the names of secrets."""
        return dict(self.model_extra or {})

    def settings(self) -> ListenerSettings:
        """What the engine is made with."""
        return ListenerSettings(
            type=self.type,
            patterns=self.patterns,
            config=self.config,
            start=self.start,
            timeout_s=self.timeout,
            retries=self.retries,
            retry_first_s=self.retry_first,
            retry_max_s=self.retry_max,
            max_lag=self.max_lag,
            keep=self.keep,
        )


def parse_listener(body: JsonObject, name: str) -> ListenerSection:
    """The settings in a JSON object, as a document gives them.

    Raises:
        ConfigurationError: something does not fit; every key is named, and no value shown.
    """
    try:
        return ListenerSection.model_validate(body)
    except ValidationError as error:
        place = f"listeners.{name}"
        raise ConfigurationError("; ".join(faults_of(error, place=place, model=ListenerSection))) from None


def shown_listener(section: ListenerSection) -> JsonObject:
    """All settings, as they may be shown."""
    own = section.model_dump(mode="json", by_alias=False, include={*ListenerSection.model_fields})
    own["from"] = own.pop("start")
    config = shown_config(section.config)
    assert isinstance(config, dict)
    return {**own, **config}


def check_listener(
    section: ListenerSection, name: str, registry: Registry, secrets: Mapping[str, str]
) -> None:
    """Return if there is such a plugin, and it takes these settings.

    Raises:
        ConfigurationError: it does not, or patterns fit no event; names the keys.
    """
    kind = registry.listeners.get(section.type or name)
    if kind is None:
        raise ConfigurationError(
            f"listeners.{name}.type: {registry.why_not('listener', section.type or name)}"
        )
    known = ["from", *ListenerSection.model_fields]
    read_config(kind.Config, section.config, place=f"listeners.{name}", secrets=secrets, also=known)
    try:
        names_heard(kind.patterns, section.patterns)
    except ConfigurationError as error:
        raise ConfigurationError(f"listeners.{name}.{error}") from None
