"""Settings of plugins as they may be shown and kept: what may be a secret is hidden, and taken by no request.

It reads no settings and opens nothing; how secrets are put in is in `plugins/settings`. Who asks are
`app/resource_views`, `app/resources`, `app/listeners` and `app/config_sources`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import get_args

from pydantic import BaseModel, SecretStr

from asyncflow.errors import ConfigurationError
from asyncflow.model.values import JsonObject
from asyncflow.plugins.resources import PluginConfig
from asyncflow.plugins.settings import SECRET

HIDDEN = "***"
"""What is shown instead of a value that may be a secret."""

_SENSITIVE = re.compile(r"pass|secret|token|key|credential|dsn|auth", re.IGNORECASE)
_PASSWORD = re.compile(r"pass|secret|credential|dsn", re.IGNORECASE)
_SURELY = re.compile(
    r"pass(word|phrase|wd)?\b|secret|credential|dsn|token\b|(api|access|private|account)[_-]?key|authorization",
    re.IGNORECASE,
)  # what is shown may be hidden without need, but what is refused is a secret
_CREDENTIALS = re.compile(
    r"://[^/@\s]+@|[?&][^=&\s]*(?:pass|secret|token|key|sig|auth)[^=&\s]*=[^&\s]", re.IGNORECASE
)


def shown_config(config: object, key: str = "", *, model: type[BaseModel] | None = None) -> object:
    """Settings of a plugin as they may be shown: what may be a secret is hidden, names of secrets are not.

    Args:
        key: what the settings lie under; what is under a name that tells of a secret is one.
        model: the plugin's own, which may say of a setting that it is a secret.
    """
    if isinstance(config, Mapping):
        fields = {} if model is None else _annotations(model)
        return {name: _shown(value, f"{key}.{name}", fields.get(name)) for name, value in config.items()}
    if isinstance(config, list | tuple):
        return [shown_config(value, key) for value in config]
    if isinstance(config, str):
        is_open = not (_SENSITIVE.search(key) or _CREDENTIALS.search(SECRET.sub("", config)))
        return config if is_open else _hidden(config)
    is_number = isinstance(config, int | float) and not isinstance(config, bool)
    return HIDDEN if is_number and _PASSWORD.search(key) else config


def _shown(value: object, key: str, annotation: object) -> object:
    if _is_secret(annotation):
        return _hidden(value)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return shown_config(value, key, model=annotation)
    return shown_config(value, key)


def _hidden(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _hidden(each) for name, each in value.items()}
    return value if isinstance(value, str) and SECRET.fullmatch(value) else HIDDEN


def _annotations(model: type[BaseModel]) -> dict[str, object]:
    """What a model says of each setting, by all of its names."""
    fields = model.model_fields.items()
    return {each: field.annotation for name, field in fields for each in (name, field.alias or name)}


def _is_secret(annotation: object) -> bool:
    """Whether it is held as a secret, or holds some."""
    return annotation is SecretStr or any(map(_is_secret, get_args(annotation)))


def check_stored(kind: type[PluginConfig], config: JsonObject, place: str) -> None:
    """Return if such settings of a plugin may come with a request, and be kept in the journal.

    Raises:
        ConfigurationError: one is for the configuration file alone, or a secret stands in it as it is.
    """
    reserved = sorted(kind.of_the_machine & config.keys())
    if reserved:
        raise ConfigurationError(f"{place}.{reserved[0]}: only the configuration file may say this")
    found = next(_plain_secrets(config), "")
    if found:
        raise ConfigurationError(
            f"{place}{found}: it is kept in the journal: name a secret, as ${{secret:NAME}}"
        )


def _plain_secrets(config: object, key: str = "") -> Iterator[str]:
    """The places of secrets that are written out, as far as their names or they themselves tell."""
    if isinstance(config, Mapping):
        for name, value in config.items():
            yield from _plain_secrets(value, f"{key}.{name}")
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _plain_secrets(value, key)
    elif isinstance(config, str | int | float) and not isinstance(config, bool):
        is_named = _SURELY.search(key) is not None and not SECRET.fullmatch(str(config))
        if config != "" and (is_named or _CREDENTIALS.search(SECRET.sub("", str(config)))):
            yield key
