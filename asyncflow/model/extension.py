"""What stands under the key `asyncflow` of a workflow, a task or a task definition.

Shapes only: rules are in `model/validation.py`, meaning is in `decide/`. A field that was not given is
not rendered, so a task can be told apart that gives a value equal to the default.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from asyncflow.model.shape import FIRST_FAULT, Flag, Int, IntegerOrText, Long, Number, Shape, Text, Texts

Executor = Literal["loop", "thread", "process", "remote"]
"""Where the attempts of a run task are made."""


OnStop = Literal["continue", "pause"]
"""What a stop of the engine does to executions that go on."""


Reassignment = Literal["any", "same_host", "not_last"]
"""Which worker is asked first for another attempt: any, one on the host of the last, any but the last."""


class ResourceUse(Shape):
    """One resource that every attempt of a task needs, and how much of it.

    Attributes:
        name: the resource manager's name.
        weight: slots taken, at least 1.
        mode: a lease of this kind; None takes slots only.
        key: what is locked within the resource; may hold expressions.
        hold: `from A to C`: the execution keeps the grant from the start of task A to the end of task C.
    """

    name: Text = ""
    weight: Int = 1
    mode: Literal["shared", "exclusive"] | None = None
    key: Text | None = None
    hold: Text | None = None


class TaskDefinitionExtension(Shape):
    """Ours on a task definition; a task that gives the same field wins.

    Attributes:
        resources: what every attempt needs, granted together or not at all.
        priority: 0 to 99, the highest first, or an expression; None inherits.
        weight: what a failure of the task counts towards `failIfFailedWeightAbove`.
        retry_delays: seconds before each retry, in order; the last one repeats. Their number is that of the
            retries, unless `retryCount` is given beside them or nearer to the task. None keeps the policy.
        execute_when_recovering: perform the task again, although its end is recorded, when another process
            takes the execution up; nothing else of it goes on before.
        executor: where attempts are made; None lets the engine choose.
        max_in_flight_per_worker: tasks of this name that one worker elsewhere may have at once; 0 for any.
        reassign: which worker gets the next attempt of a task that a worker had; None means any.
        pin_worker_version: the tasks of an execution go to workers of one code version only, the one that
            first took one of them.
    """

    resources: Annotated[list[ResourceUse], FIRST_FAULT] = Field(default_factory=list)
    priority: IntegerOrText | None = None
    weight: Number = 1.0
    retry_delays: Annotated[list[Number], FIRST_FAULT] | None = None
    execute_when_recovering: Flag = False
    executor: Executor | None = None
    max_in_flight_per_worker: Int = 0
    reassign: Reassignment | None = None
    pin_worker_version: Flag = False


class TaskExtension(TaskDefinitionExtension):
    """Ours on a task of a workflow.

    Attributes:
        depends_on: references in the same list that must have ended; [] starts with the list, None
            starts after the task before it.
        duration_ms: how long a WAIT waits, to the millisecond; it comes before the input `duration`.
    """

    depends_on: Texts | None = None
    duration_ms: Long | None = None


class WorkflowExtension(Shape):
    """Ours on a workflow definition.

    Attributes:
        resources: what every execution holds while it is open.
        priority: 0 to 99 or an expression, for tasks that name none.
        fail_if_failed_weight_above: failed tasks do not fail the execution until their weights exceed this.
        pin_worker_version: as on a task, for all tasks of the definition.
        on_stop: whether a stop of the engine pauses executions until the next start; None means what the
            engine is configured to.
    """

    resources: Annotated[list[ResourceUse], FIRST_FAULT] = Field(default_factory=list)
    priority: IntegerOrText | None = None
    fail_if_failed_weight_above: Number | None = None
    pin_worker_version: Flag = False
    on_stop: OnStop | None = None
