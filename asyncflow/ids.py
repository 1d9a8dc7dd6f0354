"""Ids: their types, how they are parsed, formatted and derived; never drawn.

Random ids are drawn by `runtime/` and arrive in inputs. Everything here is a function of its
arguments, so that a replay, and an engine started from an older backup, derive the same ids.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from typing import NewType

ExecutionId = NewType("ExecutionId", str)
TaskId = NewType("TaskId", str)

_NODE_MASK = (1 << 48) - 1
_PREFIX = 24  # characters of a UUID before its last group, the hyphen included


def task_id(execution_id: str, number: int) -> TaskId:
    """The id of the record with this number: the execution's UUID, its last 48 bits moved on.

    `number` counts every task record an execution ever made and is never reused, so ids are
    unique within an execution; two executions would have to share 58 random bits and lie
    within a million of each other in the other 48 to collide.
    """
    node = (int(execution_id[_PREFIX:], 16) + number) & _NODE_MASK
    return TaskId(f"{execution_id[:_PREFIX]}{node:012x}")


def task_number(execution_id: str, task: str) -> int | None:
    """The number that `task_id` turned into this id, or None if it is of another execution."""
    if len(task) != 36 or not same_family(execution_id, task):
        return None
    try:
        return (int(task[_PREFIX:], 16) - int(execution_id[_PREFIX:], 16)) & _NODE_MASK
    except ValueError:
        return None


def same_family(execution_id: str, task: str) -> bool:
    """Whether the task id can belong to the execution, by their common prefix."""
    return execution_id[:_PREFIX] == task[:_PREFIX]


def parse_execution_id(text: str) -> ExecutionId:
    """The canonical lower-case form of an execution id.

    Raises:
        ValueError: the text is not a UUID.
    """
    return ExecutionId(str(uuid.UUID(text)))


def child_id(parent: str, task: str, *, retry_count: int, epoch: int) -> ExecutionId:
    """The id of a sub-workflow's execution: repeated starts of one attempt find the same child.

    In epoch 0 this is the name-based UUID that Conductor's clients compute themselves; after a
    rerun the epoch is hashed too, so that a new attempt never adopts the old epoch's child.
    """
    name = f"subworkflow:{parent}:{task}:{retry_count}"
    if epoch:
        name += f":{epoch}"
    return _name_uuid(name)


def derived_id(*parts: object) -> ExecutionId:
    """A UUID that is a function of the parts, for executions that an execution starts."""
    return _name_uuid(":".join(str(part) for part in parts))


def _name_uuid(name: str) -> ExecutionId:
    digest = hashlib.md5(name.encode(), usedforsecurity=False).digest()
    return ExecutionId(str(uuid.UUID(bytes=digest, version=3)))


def attempt_token(installation: str, execution_id: str, ref: str, *, attempt: int, epoch: int) -> str:
    """The token given to outside services for one attempt: 32 characters of `[a-z2-7]`."""
    text = f"{installation}:{execution_id}:{ref}:{attempt}:{epoch}"
    return base64.b32encode(hashlib.sha256(text.encode()).digest()[:20]).decode().lower()


def content_hash(canonical_json: bytes) -> str:
    """The name under which a definition is stored: 32 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(canonical_json).hexdigest()[:32]
