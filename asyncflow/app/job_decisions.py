"""What a person says of a job or an instance that nobody could tell about, as a request says it.

What follows from it is in `decide/jobs` and `decide/lifecycle`; such jobs are listed by `app/resources`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, get_args

from asyncflow.app.payloads import check_texts
from asyncflow.app.service import Service
from asyncflow.app.workers import Workers
from asyncflow.errors import InvalidInput
from asyncflow.model.inputs import DecideJob
from asyncflow.model.jobs import Decision
from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import MOST_HANDLE_CHARACTERS

_KEYS = ("decision", "handle", "output", "reason", "serial")
_OF_INSTANCES = ("adopt", "absent")


class InstanceDecision(NamedTuple):
    """What a person says of an instance: `adopt` with its handle, or `absent`."""

    decision: str
    handle: str
    reason: str


def read_instance_decision(body: Mapping[str, object]) -> InstanceDecision:
    """Read what is said of an instance; raises InvalidInput where it is no decision that there is."""
    _check_keys(body, ("decision", "handle", "reason"))
    decision = body.get("decision")
    if decision not in _OF_INSTANCES:
        raise InvalidInput(f"one of {', '.join(_OF_INSTANCES)} is expected", field="decision")
    handle = _text(body, "handle").strip()
    if bool(handle) != (decision == "adopt"):
        raise InvalidInput("a handle is given with adopt, and with nothing else", field="handle")
    return InstanceDecision(str(decision), handle, _text(body, "reason"))


async def decide_job(
    service: Service, workers: Workers, task_id: str, body: Mapping[str, object], *, by: str = ""
) -> JsonObject:
    """Say what became of the undecided job of a task, and give the task as it is then; durable at return.

    Raises:
        NotFound: there is no such task, or it has no open job.
        Refused: its job is not undecided.
        InvalidInput, LimitExceeded: the body says no decision that there is.
    """
    command = await _read(service, body, by)
    state, number = await workers.locate(task_id)
    await service.engine.submit(state, command._replace(number=number))
    return await workers.task(task_id)


async def _read(service: Service, body: Mapping[str, object], by: str) -> DecideJob:
    _check_keys(body, _KEYS)
    decision = body.get("decision")
    if decision not in get_args(Decision):
        raise InvalidInput(f"one of {', '.join(get_args(Decision))} is expected", field="decision")
    handle, reason = _text(body, "handle"), _text(body, "reason")
    output, serial = body.get("output"), body.get("serial", 0)
    if output is not None and decision not in {"complete", "fail"}:
        raise InvalidInput("goes with complete and fail", field="output")
    if not isinstance(output, dict | None):
        raise InvalidInput("an object is expected", field="output")
    if type(serial) is not int or serial < 0:
        raise InvalidInput("a whole number from 0 is expected", field="serial")
    checked, _ = await service.accepted_payload(output or {}, "output")
    return DecideJob(0, str(decision), serial, handle, checked, reason, by)


def _check_keys(body: Mapping[str, object], known: tuple[str, ...]) -> None:
    for key in body:
        if key not in known:
            raise InvalidInput(f"no such member; there are {', '.join(known)}", field=key)


def _text(body: Mapping[str, object], key: str) -> str:
    value = body.get(key, "")
    if not isinstance(value, str) or len(value) > MOST_HANDLE_CHARACTERS:
        raise InvalidInput(f"a text of at most {MOST_HANDLE_CHARACTERS} characters is expected", field=key)
    check_texts(**{key: value})
    return value
