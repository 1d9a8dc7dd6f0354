"""What passes between the engine and a resource manager about one job, as plain records.

A job is what one attempt of a job task hands to an outside service. Nothing here decides; the protocol
is in `plugins/resources`, what the engine makes of it in `decide/jobs` and `runtime/jobs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from asyncflow.model.values import JsonObject

MOST_HANDLE_CHARACTERS = 1_000

Tier = Literal["token", "tag", "none"]
"""What a service offers against doubled jobs.

token: it knows a token again, so the same submit twice makes one job. tag: a mark can be put on the job
and found by listing. none: neither; the author of a task chooses at most once or at least once.
"""

JobWord = Literal["running", "succeeded", "failed", "cancelled"]
InstanceWord = Literal["creating", "ready", "busy", "gone", "failed"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be submitted; the same for every delivery of one attempt.

    Attributes:
        token: 32 characters of `[a-z2-7]`, derived from installation, execution, task and attempt.
        payload_hash: 8 hexadecimal digits of the input's hash, secrets left out.
        input: the task's input, with secrets put in; never stored or logged.
        task_type: the `type` of the task.
        instance: the handle of the resource's instance; "" where the resource has none.
        fence: of an exclusive lease that the attempt holds; 0 without one.
        code_version: of the definition the task is from, as `name@version`.
        callback_url: where the service may tell of the end; "" without a server.
        timeout_s: what the task may take in all; 0 for any.
    """

    token: str
    payload_hash: str
    input: JsonObject
    task_type: str
    instance: str = ""
    execution_id: str = ""
    workflow_name: str = ""
    ref: str = ""
    attempt: int = 1
    fence: int = 0
    code_version: str = ""
    callback_url: str = ""
    timeout_s: float = 0.0

    @property
    def mark(self) -> str:
        """The token and the hash of the payload, 41 characters: what is put on a job and looked for."""
        return f"{self.token}-{self.payload_hash}"


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How a job stands, as the service says.

    A word of the service that the plugin does not know is `running`, with the word in `raw`.

    Attributes:
        word: `unheard` where the service gave no usable answer about this job, while it did about others; it
            is asked for again, and after very long a person has to decide.
        output: the task's output, with `succeeded`; with the others what is worth keeping.
        is_final: a failure that no retry can mend.
        started_ms, ended_ms: the service's own times, UTC milliseconds; 0 where it gives none.
        progress: shown while it runs; small.
        raw: the service's word, shown to people.
        rows_in, rows_out, bytes_in, bytes_out: how much went through, where the service tells; -1 where not.
    """

    word: JobWord | Literal["unheard"]
    output: JsonObject = field(default_factory=dict)
    reason: str = ""
    is_final: bool = False
    started_ms: int = 0
    ended_ms: int = 0
    progress: JsonObject | None = None
    raw: str = ""
    rows_in: int = -1
    rows_out: int = -1
    bytes_in: int = -1
    bytes_out: int = -1


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that was over when the service took it: a mail that is sent, a statement that is committed.

    Nothing is asked for it any more. A status that is no end is left to the polls.
    """

    handle: str
    status: JobStatus


def handle_of(answer: str | Ended) -> str:
    """The handle in what a submit gave."""
    return answer.handle if isinstance(answer, Ended) else answer


@dataclass(frozen=True, slots=True)
class Found:
    """A job or an instance that carries a token.

    Attributes:
        mark: what is on it, so that another payload under the same token is noticed; "" if not readable.
        created_ms: by the service's clock; the earliest of several is kept.
        is_open: whether it still runs, so that it would have to be cancelled if it is one too many.
    """

    handle: str
    mark: str = ""
    created_ms: int = 0
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class InstanceOrder:
    """An instance that is to be created, once.

    Attributes:
        token: derived from installation, resource and number; the same for every delivery.
        number: of the instance, from 1, never used again.
        reason: who needs it, for people.
    """

    token: str
    resource: str
    number: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """How an instance stands, as the service says.

    Attributes:
        word: `busy` is ready with work of others on it: it is not destroyed.
        reason: why it failed or is gone.
        facts: shown to people; small.
    """

    word: InstanceWord
    reason: str = ""
    raw: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
