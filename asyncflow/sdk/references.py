"""Handles for values that exist only when an execution runs: `wf.input.url`, `page.output.items[0]`.

A reference knows its path and nothing else; it never evaluates anything and has no truth value.
Read `decide/expressions` for how the `${…}` it turns into is resolved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic_core import to_jsonable_python

from asyncflow.errors import InvalidInput

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SCALARS = frozenset({str, int, float, bool, type(None)})


class Reference:
    """A value of the running execution; as text it is the expression `${path}`.

    Attributes and items go deeper (`ref.a["b c"][0]`, `ref[:]` for all elements); a call appends a
    JSONPath as it stands (`ref("items[?(@.x > 1)].id")`). An item that is itself a reference becomes a
    nested expression. It may stand alone as an input, inside lists and mappings, and in f-strings.
    """

    __slots__ = ("_path",)
    __iter__ = None
    __contains__ = None

    def __init__(self, path: str) -> None:
        """Refer to this path, without the `${}` around it."""
        self._path = path

    def __getattr__(self, name: str) -> Reference:
        """The member of that name; names that begin with an underscore are reached by item access."""
        if name.startswith("_"):
            raise AttributeError(f"{name}: a key that begins with an underscore is written ref[{name!r}]")
        return self[name]

    def __getitem__(self, key: str | int | slice | Reference) -> Reference:
        """The member or element under this key; a full slice means every element.

        Raises:
            InvalidInput: a slice with bounds, or a key that an expression cannot hold.
        """
        return Reference(self._path + _step(key))

    def __call__(self, json_path: str = "") -> Reference:
        """The value at a JSONPath relative to this one, taken as it is written; empty means this one."""
        if not json_path:
            return self
        return Reference(self._path + ("" if json_path.startswith("[") else ".") + json_path)

    def __str__(self) -> str:
        """The expression, as it stands in a definition."""
        return "${" + self._path + "}"

    def __format__(self, spec: str) -> str:
        """The expression; a format specification is refused, since the value is not there yet."""
        if spec:
            raise InvalidInput(f"a reference cannot be formatted with {spec!r}", field=self._path)
        return str(self)

    def __repr__(self) -> str:
        """The class and the expression."""
        return f"Reference({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        """Whether both name the same path; never a comparison of the values."""
        return isinstance(other, Reference) and other._path == self._path

    def __hash__(self) -> int:
        """Equal paths hash alike."""
        return hash(self._path)

    def __bool__(self) -> bool:
        """Refused: the value exists only in an execution, so Python cannot branch on it."""
        raise InvalidInput(
            "has no value while the workflow is built; branch with nodes.switch", field=self._path
        )


def _step(key: str | int | slice | Reference) -> str:
    if isinstance(key, Reference):
        return f".{key}"
    if isinstance(key, slice):
        if key != slice(None):
            raise InvalidInput("only the full slice [:] is possible; give bounds as ref('[0:2]')")
        return "[*]"
    if isinstance(key, int):
        return f"[{int(key)}]"
    if not isinstance(key, str):
        raise InvalidInput(f"{key!r} is no key: a text, an integer, [:] or a reference is")
    if _PLAIN_KEY.match(key):
        return f".{key}"
    if "{" in key or "}" in key:
        raise InvalidInput(f"the key {key!r} has braces, which an expression cannot hold")
    escaped = key.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{escaped}']"


def render(value: object, path: str) -> object:
    """The value as plain JSON, every reference in it replaced by its expression.

    Args:
        value: JSON, references, and what pydantic can turn into JSON (dates, enums, models, dataclasses).
        path: where the value stands, for the error.

    Raises:
        InvalidInput: something in it is not JSON, or a key is not text.
    """
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Reference):
        return str(value)
    if isinstance(value, Mapping):
        return {_key(key, path): render(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [render(item, f"{path}[{index}]") for index, item in enumerate(value)]
    try:
        return to_jsonable_python(value, fallback=_reference_or_fail)
    except ValueError as error:  # pydantic's error is one, and so is ours
        raise InvalidInput(f"not JSON: {error}", field=path) from error


def render_mapping(values: Mapping[str, object], path: str) -> dict[str, object]:
    """Like `render`, for a mapping."""
    return {_key(key, path): render(item, f"{path}.{key}") for key, item in values.items()}


def _key(key: object, path: str) -> str:
    if not isinstance(key, str):
        raise InvalidInput(f"the key {key!r} is not text; expressions are not resolved in keys", field=path)
    return key


def _reference_or_fail(value: object) -> object:
    if isinstance(value, Reference):
        return str(value)
    if hasattr(value, "last_ref"):
        raise ValueError("a node is no value: refer to its .output, or to a member of it")
    raise ValueError(f"{type(value).__name__} has no JSON form")
