"""Looking up one compiled path in a scope, asking it for no more than the path names.

The scope is the only thing read, and the root as a whole is never built. Templates, which are made
of such look-ups, are in `expressions`; the paths themselves in `jsonpath`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from asyncflow.decide.jsonpath import MISSING, Evaluation, JsonPath, walk_plain


class Scope(Protocol):
    """The root object of expressions, asked for one part at a time.

    All three answer MISSING for what is not there, and JSON values (maps are dicts, lists lists)
    that nobody changes afterwards.
    """

    def field(self, head: str, name: str | None) -> object:
        """`${head.name}`, such as ("fetch_ref", "output"); with None, `${head}` as a whole."""

    def member(self, head: str, name: str, key: str) -> object:
        """`${head.name.key}`: one key of a field, so that the field need not be built for it."""


class Read(NamedTuple):
    """What an expression asks the scope for; None where it takes the whole."""

    head: str
    field: str | None
    key: str | None


Resolve = Callable[[Scope], object]


class DocumentScope:
    """A scope over a document that is there as a whole, such as the payload of an event."""

    __slots__ = ("_document",)

    def __init__(self, document: Mapping[str, object]) -> None:
        """Read from `document`, which is not copied."""
        self._document = document

    def field(self, head: str, name: str | None) -> object:
        """The value under one or two names."""
        whole = self._document.get(head, MISSING)
        return whole if name is None else walk_plain(whole, (name,))

    def member(self, head: str, name: str, key: str) -> object:
        """The value under three names."""
        return walk_plain(self._document.get(head, MISSING), (name, key))


# Up to three leading names go to the scope in one question, which covers nearly every expression; the
# rest is walked here. Everything else takes the general evaluator, on the same question.


def resolver_of(path: JsonPath) -> Resolve:
    """The look-up of a path, in the cheapest form it allows; nothing found is None or an empty list."""
    read = read_of(path)
    if read is None or not path.is_plain:
        return lambda scope: _evaluate(path, scope)
    head, name, key = read
    rest = path.steps[_taken(read) :]
    if key is None or name is None:
        return lambda scope: _null(walk_plain(scope.field(head, name), rest))
    if rest:
        return lambda scope: _null(walk_plain(scope.member(head, name, key), rest))
    return _member_resolver(head, name, key)


def _member_resolver(head: str, name: str, key: str) -> Resolve:
    """The commonest form, `ref.output.key`, with nothing in the way."""

    def resolve(scope: Scope) -> object:
        value = scope.member(head, name, key)
        return None if value is MISSING else value

    return resolve


def _null(value: object) -> object:
    return None if value is MISSING else value


def read_of(path: JsonPath) -> Read | None:
    """How far plain names lead into the path, at most three; None if it starts with another step."""
    names: list[str] = []
    for step in path.steps[:3]:
        if not isinstance(step, str):
            break
        names.append(step)
    if not names:
        return None
    field, key = (*names[1:], None, None)[:2]
    return Read(names[0], field, key)


def _taken(read: Read) -> int:
    return 1 + (read.field is not None) + (read.key is not None)


def _evaluate(path: JsonPath, scope: Scope) -> object:
    def look_up(wanted: JsonPath, evaluation: Evaluation) -> object:
        read = read_of(wanted)
        if read is None:  # no name to ask for: the root as a whole is never built
            return evaluation.run(wanted.steps, {} if wanted.steps else MISSING)
        return evaluation.run(wanted.steps[_taken(read) :], _ask(scope, read))

    return _null(look_up(path, Evaluation(look_up)))


def _ask(scope: Scope, read: Read) -> object:
    if read.field is None or read.key is None:
        return scope.field(read.head, read.field)
    return scope.member(read.head, read.field, read.key)
