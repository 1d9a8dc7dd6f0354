"""Inputs of a plugin's tasks read by its own model: what does not fit is told by its fields.

A value never comes into a message: secrets are in inputs by then. Settings are read in `plugins/settings`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from asyncflow.errors import TerminalTaskFailed
from asyncflow.model.values import JsonObject

M = TypeVar("M", bound=BaseModel)

_MOST_FAULTS = 20


def read_input(model: type[M], given: JsonObject, kind: str) -> M:
    """The input of a task of this type as its model has it.

    Raises:
        TerminalTaskFailed: it does not fit; every field is named, and no value shown, as secrets are in it.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise TerminalTaskFailed(f"input of {kind}: {'; '.join(_faults(error))}") from None


def _faults(error: ValidationError) -> Iterator[str]:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    for fault in found[:_MOST_FAULTS]:
        place = ".".join(str(part) for part in fault["loc"]) or "inputParameters"
        told = fault["type"] not in {"value_error", "assertion_error"}
        yield f"{place}: {fault['msg'] if told else 'the plugin does not take this value'}"
