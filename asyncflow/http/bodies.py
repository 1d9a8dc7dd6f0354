"""What a request's body holds: declared by routes, parsed within bounds when a handler asks for it.

Whether JSON is well formed is said by `model/documents`; receiving the bytes is the business of
`receiving`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from asyncflow.errors import InvalidInput
from asyncflow.model.documents import parse_document
from asyncflow.model.limits import Limits

_IN_PLACE_BYTES = 128 << 10  # larger texts are parsed in a thread: the loop is not held for them

_DEFINITIONS = frozenset({"WorkflowDef", "TaskDef", "StartWorkflowRequest", "WorkflowTestRequest"})


@dataclass(frozen=True, slots=True)
class Body:
    """What a route expects to be sent.

    Attributes:
        schema: the name of its schema in the OpenAPI document; empty for any JSON or text.
        many: whether it is a list of these.
        deep: whether it may be as deep as a definition.
    """

    kind: Literal["json", "text"]
    schema: str = ""
    optional: bool = False
    many: bool = False
    deep: bool = False


def json_body(schema: str = "", *, optional: bool = False, many: bool = False, deep: bool = False) -> Body:
    """A JSON body of this schema, or with `many` a list of them.

    Bodies that hold a definition may be as deep as one; the schemas of definitions are known, others
    say `deep`.
    """
    return Body("json", schema, optional, many, deep or schema in _DEFINITIONS)


def text_body(*, optional: bool = False) -> Body:
    """A body taken as text, whatever its content type says."""
    return Body("text", "", optional)


async def parse_json_body(content: bytes, *, deep: bool, limits: Limits) -> object:
    """The value of a JSON body.

    Raises:
        InvalidInput: it is not well formed; says where.
        LimitExceeded: it is too large or too deep.
    """
    if len(content) <= _IN_PLACE_BYTES:
        return _parse(content, deep, limits)
    return await asyncio.to_thread(_parse, content, deep, limits)


def _parse(content: bytes, deep: bool, limits: Limits) -> object:  # noqa: FBT001 - to_thread hands them over
    return parse_document(content, limits=limits, format="json", purpose="request" if deep else "value")


def body_text(content: bytes) -> str:
    """A body as text.

    Raises:
        InvalidInput: it is not UTF-8.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"not UTF-8 at byte {error.start}", field="body") from None
