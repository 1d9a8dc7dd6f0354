"""From a task's input to the parameters of its function, and from what it returned to a task's output.

Plain annotations cost nothing: only models, dataclasses, dates and the like are converted, by adapters
made once per function. This module calls no function and knows no engine; `runtime/attempts` uses it.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace

from pydantic_core import to_jsonable_python

from asyncflow.errors import InvalidInput

Convert = Callable[[object], object]

_PLAIN = frozenset(
    {str, int, float, bool, type(None), dict, list, object, typing.Any, inspect.Parameter.empty}
    | {Mapping, MutableMapping, Sequence, Iterable}
)
_MAPPINGS = (dict, Mapping, MutableMapping)
_UNIONS = frozenset({typing.Union, types.UnionType})
_KEYWORDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter that takes an input: its name, whether it must be given, how it is converted."""

    name: str
    required: bool
    convert: Convert | None


@dataclass(frozen=True, slots=True)
class Binding:
    """How the inputs of a task become the parameters of one function.

    Attributes:
        fields: the parameters that take an input of their name, in order.
        context: the parameter that takes the task context, if there is one.
        whole: the parameter that takes the whole input, if there is one; then `fields` is empty.
        takes_any: whether the function has `**keywords` and so takes inputs of any name.
    """

    function_name: str
    fields: tuple[Field, ...]
    context: str | None
    whole: str | None
    takes_any: bool

    @property
    def is_open(self) -> bool:
        """Whether an input of any name finds a place."""
        return self.takes_any or self.whole is not None

    def bind(self, data: Mapping[str, object], context: object = None) -> dict[str, object]:
        """The keyword arguments for one call; inputs that no parameter takes are left out.

        Raises:
            InvalidInput: a required parameter has no input, or a value does not fit its annotation.
        """
        arguments: dict[str, object] = {}
        if self.takes_any:
            arguments.update(data)
        if self.context is not None:
            arguments[self.context] = context
        if self.whole is not None:
            arguments[self.whole] = dict(data)
        for field in self.fields:
            if field.name in data:
                value = data[field.name]
                arguments[field.name] = value if field.convert is None else self._converted(field, value)
            elif field.required:
                raise InvalidInput(
                    f"{self.function_name} needs it, and the task's input has none", field=field.name
                )
        return arguments

    def _converted(self, field: Field, value: object) -> object:
        assert field.convert is not None
        try:
            return field.convert(value)
        except ValueError as error:  # pydantic's ValidationError is one
            reason = "; ".join(str(error).splitlines()[1:3]) or str(error)
            raise InvalidInput(f"does not fit {self.function_name}: {reason}", field=field.name) from error


@lru_cache(maxsize=4096)
def binding_of(function: Callable[..., object]) -> Binding:
    """How inputs become this function's parameters.

    An annotation that cannot be resolved (a name imported for type checkers only) leaves its value as it is.

    Raises:
        InvalidInput: it has positional-only parameters, or one of a type that no JSON value can become.
    """
    name = getattr(function, "__name__", type(function).__name__)
    parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise InvalidInput(f"{name} takes it by position only; inputs come by name", field=parameter.name)
    context = next((p.name for p in parameters if _is_context(p)), None)
    named = [p for p in parameters if p.kind in _KEYWORDS and p.name != context]
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    if len(named) == 1 and not takes_any and _takes_whole(named[0], function):
        return Binding(name, (), context, named[0].name, False)
    fields = tuple(_field(p, function, name) for p in named)
    return Binding(name, fields, context, None, takes_any)


def normalise_result(value: object) -> dict[str, object]:
    """The output of a task whose function returned this value, as plain JSON and the caller's own copy.

    A mapping, model or dataclass gives its members, None gives nothing, all else stands under `result`.

    Raises:
        InvalidInput: the value, or something within it, has no JSON form.
    """
    if value is None:
        return {}
    source = dict(value) if not isinstance(value, dict) and isinstance(value, Mapping) else value
    try:
        plain = to_jsonable_python(source)
    except ValueError as error:  # pydantic's PydanticSerializationError is one; a value within itself another
        raise InvalidInput(f"what the task returned is not JSON: {error}", field="result") from error
    return plain if isinstance(plain, dict) else {"result": plain}


def _is_context(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return parameter.name == "ctx" or text.rpartition(".")[2].strip("'\"") == "TaskContext"


def _takes_whole(parameter: inspect.Parameter, function: Callable[..., object]) -> bool:
    annotation = _annotation(parameter, function)
    origin = typing.get_origin(annotation) or annotation
    return parameter.name == "input" and origin in _MAPPINGS


def _field(parameter: inspect.Parameter, function: Callable[..., object], owner: str) -> Field:
    annotation = _annotation(parameter, function)
    required = parameter.default is inspect.Parameter.empty
    if _is_plain(annotation):
        return Field(parameter.name, required, None)
    return Field(parameter.name, required, _adapter(annotation, parameter.name, owner))


def _annotation(parameter: inspect.Parameter, function: Callable[..., object]) -> object:
    raw = parameter.annotation
    if not isinstance(raw, str):
        return raw
    inner = inspect.unwrap(function)
    names: dict[str, object] = dict(getattr(inner, "__globals__", {}))
    if inspect.isfunction(inner):
        names.update(inspect.getclosurevars(inner).nonlocals)
    holder = SimpleNamespace(__annotations__={parameter.name: raw})
    try:
        return typing.get_type_hints(holder, globalns=names, include_extras=True)[parameter.name]
    except (NameError, AttributeError):
        return inspect.Parameter.empty


def _is_plain(annotation: object) -> bool:
    origin = typing.get_origin(annotation)
    if origin is None:
        return _is_member(annotation, _PLAIN)
    inner = typing.get_args(annotation)
    if origin in _MAPPINGS and inner[0] not in (str, object, typing.Any):
        return False  # the keys of JSON are text: any other kind is converted
    return (origin in _UNIONS or _is_member(origin, _PLAIN)) and all(_is_plain(a) for a in inner)


def _is_member(annotation: object, known: frozenset[object]) -> bool:
    try:
        return annotation in known
    except TypeError:  # an annotation that cannot be hashed is none of ours
        return False


def _adapter(annotation: object, parameter: str, owner: str) -> Convert:
    # Importing pydantic costs 60 ms: only functions with typed inputs pay for it.
    from pydantic import TypeAdapter  # noqa: PLC0415
    from pydantic.errors import PydanticUserError  # noqa: PLC0415

    try:
        convert: Convert = TypeAdapter[object](annotation).validate_python  # type: ignore[arg-type]  # a type only known now
    except PydanticUserError as error:
        raise InvalidInput(f"{owner}: no JSON value can become a {annotation!r}", field=parameter) from error
    return convert
