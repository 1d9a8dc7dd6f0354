"""How definitions are read from JSON: names, tolerances, and pydantic's errors turned into violations.

It judges shape only and knows no rule of any definition; what it accepts is what Conductor's own reader
(Jackson with its settings) accepts. Read `model/definition.py` next for the shapes themselves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel

from asyncflow.errors import DefinitionError, Violation
from asyncflow.model.json_values import find_fault
from asyncflow.model.limits import DEFAULT_LIMITS, Limits

EXTENSION_KEY = "asyncflow"
"""The one key that carries what Conductor has no word for."""

UNION_TAG = "\0"
"""First character of the tags of our unions; no key of a definition can begin with it."""

_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,19}\s*")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LARGEST = 1e300
_SHOWN = 80  # characters of an offending value that a message repeats


def _alias(name: str) -> str:
    return EXTENSION_KEY if name == "extension" else to_camel(name)


class Shape(BaseModel):
    """Parent of every definition record: camelCase in JSON, snake_case here, frozen, unknown fields kept.

    An explicit null stands for the default. Values of user payloads are not copied: whoever hands
    them in must not change them afterwards.
    """

    model_config = ConfigDict(
        alias_generator=_alias,
        validate_by_name=True,
        validate_by_alias=True,
        extra="allow",
        frozen=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _null_means_default(cls, data: object) -> object:
        if not isinstance(data, dict) or None not in data.values():
            return data
        known = _known_keys(cls)
        return {key: value for key, value in data.items() if value is not None or key not in known}

    def kept_at_default(self) -> tuple[str, ...]:
        """Fields that are stored even at their default, as another field would fill them otherwise."""
        return ()


_KNOWN: dict[type[BaseModel], frozenset[str]] = {}


def _known_keys(model: type[BaseModel]) -> frozenset[str]:
    """The names and aliases of a model's fields."""
    keys = _KNOWN.get(model)
    if keys is None:
        aliases = (field.alias or name for name, field in model.model_fields.items())
        keys = _KNOWN[model] = frozenset([*model.model_fields, *aliases])
    return keys


# --- tolerant scalars ------------------------------------------------------------------------


def _to_text(value: object) -> object:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise ValueError(f"must be text, not {kind_of(value)}")


def _to_integer(value: object) -> int:
    if type(value) is int:
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return int(value)  # Jackson drops the fraction
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"must be an integer, not {shown(value)}")


def _bounded(value: object, bits: int) -> int:
    number = _to_integer(value)
    if not -(1 << bits) <= number < 1 << bits:
        raise ValueError(f"must fit into {bits + 1} bits, not {shown(number)}")
    return number


def _to_int(value: object) -> object:
    return _bounded(value, 31)


def _to_long(value: object) -> object:
    return _bounded(value, 63)


def _to_flag(value: object) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value != 0
    if isinstance(value, str) and value.strip() in {"true", "True", "TRUE"}:
        return True
    if isinstance(value, str) and value.strip() in {"false", "False", "FALSE"}:
        return False
    raise ValueError(f"must be true or false, not {shown(value)}")


def _to_number(value: object) -> object:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"must be a number, not {shown(value)}") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number, not {kind_of(value)}")  # noqa: TRY004 - pydantic takes ValueError
    if abs(value) <= _LARGEST:  # false for NaN too
        return float(value)
    raise ValueError("must be a finite number")


def _to_integer_or_text(value: object) -> object:
    if isinstance(value, str) and not _INTEGER.fullmatch(value):
        return value
    return _bounded(value, 31)


Text = Annotated[str, BeforeValidator(_to_text)]
"""Text; a number or a boolean is taken as its text."""

Int = Annotated[int, BeforeValidator(_to_int)]
"""A 32-bit integer; its text and a number with a fraction (dropped) are taken too."""

Long = Annotated[int, BeforeValidator(_to_long)]
"""A 64-bit integer, as tolerant as `Int`."""

Flag = Annotated[bool, BeforeValidator(_to_flag)]
"""True or false; the words as text and integers are taken too."""

Number = Annotated[float, BeforeValidator(_to_number)]
"""A finite number, or its text."""

IntegerOrText = Annotated[int | str, BeforeValidator(_to_integer_or_text)]
"""An integer (also as text), or other text such as an expression."""


class _FirstFault(FailFast):
    """Pydantic's own mark cannot be hashed, which an optional list asks for."""

    __hash__ = object.__hash__


FIRST_FAULT = _FirstFault()
"""Marks a list of which only the first wrong element is reported, so that no list can flood the answer."""

Texts = Annotated[list[Text], FIRST_FAULT]
"""A list of texts."""


# --- the number of tasks, held while they are read ---------------------------------------------

_PER_TASK = 4  # items of task lists, cases and branches that are read for each task allowed


@dataclass(slots=True)
class _Budget:
    """What one document may still hold."""

    allowed: int
    left: int


def _spend(value: object, info: ValidationInfo) -> object:
    budget = info.context
    if isinstance(budget, _Budget) and isinstance(value, list | dict):
        budget.left -= len(value)
        if budget.left < 0:
            raise ValueError(f"definition_tasks: at most {budget.allowed}")
    return value


COUNTED = BeforeValidator(_spend)
"""Marks a list of tasks, or one that holds such lists: what is far beyond the limit is not even read."""


# --- messages --------------------------------------------------------------------------------


def kind_of(value: object) -> str:
    """What a JSON value is, in words for a message."""
    if value is None:
        return "null"
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "a boolean"), (int, "a number"), (float, "a number"), (str, "text"),
        (list, "a list"), (tuple, "a list"), (dict, "an object"),
    )  # fmt: skip
    return next((word for kind, word in kinds if isinstance(value, kind)), type(value).__name__)


def shown(value: object) -> str:
    """The value as a message repeats it: scalars cut to 80 characters, anything else by its kind."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return kind_of(value)
    if isinstance(value, int) and value.bit_length() > 4 * _SHOWN:
        return "a number"
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def path_of(parts: Sequence[str | int]) -> str:
    """Parts of a place in a document as one path, such as `tasks[2].forkTasks[0][1].joinOn`."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.startswith(UNION_TAG):
            continue
        elif _PLAIN_KEY.fullmatch(part):
            path += f".{part}" if path else part
        else:
            path += f'["{part[:_SHOWN]}"]'
    return path


def _message(kind: str, value: object, context: dict[str, object]) -> str:
    if "error" in context:
        return str(context["error"])
    if kind == "literal_error":
        return f"must be {context['expected']}, not {shown(value)}"
    if kind == "union_tag_not_found":
        return f"must be a workflow definition or an expression ${{…}}, not {shown(value)}"
    wanted = {"dict_type": "an object", "list_type": "a list", "missing": "present"}
    word = wanted.get(kind, "an object" if kind.startswith("model") else "of another shape")
    return f"must be {word}, not {kind_of(value)}"


def capped(violations: list[Violation], limits: Limits) -> list[Violation]:
    """The violations, at most as many as the limit allows, the rest counted in a last one."""
    rest = len(violations) - limits.reported_violations
    if rest <= 0:
        return violations
    return [*violations[: limits.reported_violations], Violation("", f"and {rest} more violations")]


def violations_of(error: ValidationError) -> list[Violation]:
    """Pydantic's errors in our words, in document order."""
    found = error.errors(include_url=False)
    return [
        Violation(path_of(each["loc"]), _message(each["type"], each["input"], each.get("ctx", {})))
        for each in found
    ]


Model = TypeVar("Model", bound=Shape)


def parse(
    model: type[Model], data: object, *, limits: Limits = DEFAULT_LIMITS, is_plain: bool = False
) -> Model:
    """The record of that model, read from JSON values with Conductor's tolerance.

    Args:
        is_plain: the values were read from JSON text of which `json_text.is_plain` says so.

    Raises:
        DefinitionError: the value is not JSON, or not of that shape; all violations, capped.
    """
    if not isinstance(data, dict):
        raise DefinitionError([Violation("", f"must be an object, not {kind_of(data)}")])
    fault = None if is_plain else find_fault(data, depth=limits.definition_depth)
    if fault is not None:
        raise DefinitionError([Violation(path_of(fault.parts), fault.message)])
    try:
        budget = _Budget(limits.definition_tasks, _PER_TASK * limits.definition_tasks)
        return model.model_validate(data, by_alias=True, by_name=False, context=budget)
    except ValidationError as error:
        raise DefinitionError(capped(violations_of(error), limits)) from None
