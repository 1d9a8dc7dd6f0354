"""The expression language `${…}`: templates compiled once, resolved against a scope.

Reads a scope and nothing else, asks it only for what an expression names, and never expands what an
expression gave. Looking up one path is in `lookups`, marks in text in `template_text`, secrets in `secrets`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple, cast

from asyncflow.decide.java_text import java_text, join_texts
from asyncflow.decide.jsonpath import MISSING, JsonPathError, compile_path
from asyncflow.decide.lookups import DocumentScope, Read, Resolve, Scope, read_of, resolver_of
from asyncflow.decide.secrets import is_secret
from asyncflow.decide.template_text import Hole, split_text
from asyncflow.errors import LimitExceeded

__all__ = [
    "ANY_HEAD",
    "MISSING",
    "DocumentScope",
    "JsonPathError",
    "Read",
    "Reference",
    "Resolve",
    "Scope",
    "Template",
    "check_expression",
    "compile_template",
    "compile_text",
    "constant",
    "heads",
    "references",
    "resolve_text",
]

MAX_TEMPLATE_DEPTH: Final = 256
_MAX_CACHED_CHARS: Final = 500
ANY_HEAD: Final = "*"
"""The head of a read whose path is only known at run time."""

_Slots = dict[str | int, object]


class Reference(NamedTuple):
    """An expression as written, without `${` and `}`, and where in the template it stands."""

    path: str
    expression: str


class Template:
    """A compiled template.

    Attributes:
        is_constant: holds no expression; `resolve` always gives the same object.
        reads: what `resolve` may ask the scope for, in order of appearance, each once.
    """

    __slots__ = ("is_constant", "reads", "resolve")

    def __init__(self, resolve: Resolve, reads: Iterable[Read], *, is_constant: bool = False) -> None:
        """Made by `compile_template` and `compile_text` only."""
        self.resolve = resolve
        self.reads = tuple(dict.fromkeys(reads))
        self.is_constant = is_constant


def compile_template(value: object) -> Template:
    """Compile a JSON value; expressions count in its texts, at any depth, but not in its keys.

    What `resolve` gives shares the parts without expressions with `value`: neither may be changed.

    Raises:
        LimitExceeded: nested too deeply, as a value or as an expression.
    """
    return _compile(value, 0)


def compile_text(text: str) -> Template:
    """Compile one text: a single expression keeps the type of its value, all else gives text."""
    # Only an expression that is the whole text, to the last blank, keeps its value's type. What an
    # expression gives is joined or handed on as it is: data that looks like `${…}` stays data.
    parts = split_text(text)
    if not any(isinstance(part, Hole) for part in parts):
        return constant(text if "$${" not in text else join_texts([str(part) for part in parts]))
    if len(parts) == 1 and isinstance(parts[0], Hole):
        return _compile_hole(parts[0])
    return _compile_parts(parts)


def resolve_text(text: str, scope: Scope) -> object:
    """Compile and resolve a text met at run time, such as an input of a dynamically forked task."""
    return text if "${" not in text else compile_text(text).resolve(scope)


def references(value: object) -> Iterator[Reference]:
    """Every expression in a template, outer ones before the ones nested in them.

    An outer one with others nested in it is given as written, with their `${…}`.
    """
    pending: list[tuple[str, object]] = [("", value)]
    while pending:
        path, current = pending.pop()
        if isinstance(current, str):
            for hole in _holes(split_text(current)):
                yield Reference(path, hole.raw)
        elif isinstance(current, dict):
            prefix = f"{path}." if path else ""
            pending.extend((f"{prefix}{key}", member) for key, member in reversed(current.items()))
        elif isinstance(current, list):
            pending.extend((f"{path}[{i}]", current[i]) for i in range(len(current) - 1, -1, -1))


def heads(template: Template) -> set[str]:
    """The heads it may read, `workflow` or reference names; ANY_HEAD if one is computed."""
    return {read.head for read in template.reads}


def check_expression(text: str) -> None:
    """Check what stands between `${` and `}`; blank is well formed.

    Where expressions are nested in it only these can be checked before run time.

    Raises:
        JsonPathError: it, or an expression nested in it, does not compile.
    """
    parts = split_text(text)
    nested = list(_holes(parts))
    if not nested and text.strip() and not is_secret(text):
        compile_path(text)
    for hole in nested:
        if "${" not in hole.raw:
            check_expression(hole.raw)


def _holes(parts: list[str | Hole]) -> Iterator[Hole]:
    for part in parts:
        if isinstance(part, Hole):
            yield part
            yield from _holes(part.parts)


def constant(value: object) -> Template:
    """What resolves to this very value, whatever stands in it."""
    return Template(lambda _scope: value, (), is_constant=True)


def _compile(value: object, depth: int) -> Template:
    if isinstance(value, str):
        return compile_text(value) if "${" in value else constant(value)
    if not isinstance(value, dict | list):
        return constant(value)
    if depth > MAX_TEMPLATE_DEPTH:
        raise LimitExceeded("depth of a template", allowed=MAX_TEMPLATE_DEPTH)
    skeleton = cast("_Slots", value.copy())  # a list takes places where a map takes names
    dynamic: list[tuple[str | int, Resolve]] = []
    reads: list[Read] = []
    changed = False
    for key, member in value.items() if isinstance(value, dict) else enumerate(value):
        template = _compile(member, depth + 1)
        if template.is_constant:
            skeleton[key] = template.resolve(_NOTHING)
            changed = changed or skeleton[key] is not member
        else:
            dynamic.append((key, template.resolve))
            reads += template.reads
    if not dynamic:
        return constant(skeleton if changed else value)
    return Template(_filling(skeleton, dynamic), reads)


def _filling(skeleton: _Slots, dynamic: list[tuple[str | int, Resolve]]) -> Resolve:
    """Copies the skeleton and resolves what differs each time; the rest is shared."""

    def resolve(scope: Scope) -> object:
        result = skeleton.copy()
        for key, resolve_member in dynamic:
            result[key] = resolve_member(scope)
        return result

    return resolve


def _compile_parts(parts: list[str | Hole]) -> Template:
    """Texts and expressions in a row, joined as text."""
    members = [constant(p) if isinstance(p, str) else _compile_hole(p) for p in parts]
    if all(member.is_constant for member in members):
        return constant(join_texts([java_text(member.resolve(_NOTHING)) for member in members]))
    pieces = tuple(member.resolve for member in members)

    def resolve(scope: Scope) -> object:
        return join_texts([java_text(piece(scope)) for piece in pieces])

    return Template(resolve, [read for member in members for read in member.reads])


# Inner expressions are resolved first, as text; the path they make is compiled when it is known. A
# value inserted in a path is read as path syntax, as in Conductor. Expressions are cached by text,
# short ones only: a computed text may be as long as the data it comes from.


def _compile_hole(hole: Hole) -> Template:
    if not any(isinstance(part, Hole) for part in hole.parts):
        return _compile_expression("".join(str(part) for part in hole.parts))
    inner = _compile_parts(hole.parts)
    if inner.is_constant:
        return _compile_expression(str(inner.resolve(_NOTHING)))

    def resolve(scope: Scope) -> object:
        return _compile_expression(str(inner.resolve(scope))).resolve(scope)

    return Template(resolve, (*inner.reads, Read(ANY_HEAD, None, None)))


def _compile_expression(text: str) -> Template:
    return _compile_once(text) if len(text) <= _MAX_CACHED_CHARS else _compile_once.__wrapped__(text)


@lru_cache(maxsize=4096)
def _compile_once(text: str) -> Template:
    """One expression; secrets stay as they are, and what is no path is null, as unresolvable."""
    if not text.strip():
        return constant("")
    if is_secret(text):
        return constant(f"${{{text}}}")
    try:
        path = compile_path(text)
    except JsonPathError:
        return constant(None)
    reads = [read_of(p) for p in (path, *path.root_paths)]
    return Template(resolver_of(path), [read for read in reads if read is not None])


_NOTHING: Final = DocumentScope({})
