"""Settings of a plugin read by its own model: secrets put in at the last moment, faults told by their keys.

A value never comes into a message: it may be a secret. What is read here is never stored; the
configuration keeps the names of secrets alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from asyncflow.errors import ConfigurationError
from asyncflow.model.values import JsonObject

M = TypeVar("M", bound=BaseModel)

SECRET = re.compile(r"\$\{secret:([A-Za-z0-9_.-]{1,200})\}")
"""How a text in the settings of a plugin names a secret of the configuration."""


def secrets_named(body: object) -> Iterator[str]:
    """The names of the secrets that settings ask for, as often as they do."""
    if isinstance(body, str):
        yield from SECRET.findall(body)
    elif isinstance(body, Mapping):
        for part in body.values():
            yield from secrets_named(part)
    elif isinstance(body, Sequence):
        for part in body:
            yield from secrets_named(part)


def read_config(
    model: type[M], body: JsonObject, *, place: str, secrets: Mapping[str, str], also: Sequence[str] = ()
) -> M:
    """The settings as a plugin's model has them, with the values of the secrets they name.

    Args:
        place: what the settings are called, such as `resources.emr-prod`, for messages.
        also: keys that may stand beside them, so that a misspelt one of these is told, too.

    Raises:
        ConfigurationError: a secret is not there, or settings do not fit; names all of it and shows no value.
    """
    missing = sorted({name for name in secrets_named(body) if name not in secrets})
    if missing:
        raise ConfigurationError(f"{place}: there is no secret {', '.join(missing)} in [secrets]")
    try:
        return model.model_validate(_filled(body, secrets))
    except ValidationError as error:
        raise ConfigurationError("; ".join(faults_of(error, place=place, model=model, also=also))) from None


def faults_of(
    error: ValidationError, *, place: str, model: type[BaseModel], also: Sequence[str] = ()
) -> Iterator[str]:
    """What does not fit, each with its dotted key; never with a value.

    What the model's author says of a value (a `ValueError` of a validator) may hold it, and is left out
    where the settings were filled with secrets: only pydantic's own words are repeated.
    """
    known = sorted(_keys(model))
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        key = ".".join([place, *(str(part) for part in fault["loc"])])
        if fault["type"] == "extra_forbidden":
            near = get_close_matches(str(fault["loc"][-1]), [*known, *also], 1)
            there = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}"
            yield f"{key}: no such setting ({there})"
        elif fault["type"] in {"value_error", "assertion_error"}:
            yield f"{key}: the plugin does not take this value"
        else:
            yield f"{key}: {fault['msg']}"


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield field.alias or name


def _filled(value: object, secrets: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return SECRET.sub(lambda found: secrets[found[1]], value)
    if isinstance(value, Mapping):
        return {key: _filled(part, secrets) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(part, secrets) for part in value]
    return value
