"""`@task`: a plain function becomes a task that nodes can name, and stays a plain function to a test.

The decorator records; it registers nothing anywhere and wraps no call. Read `runtime/binding` for how
inputs become parameters, and `workflow` for what collects the functions a definition names.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Literal, ParamSpec, TypedDict, TypeVar, Unpack, cast, get_args, overload

from asyncflow.errors import InvalidInput
from asyncflow.runtime.binding import Binding, binding_of
from asyncflow.sdk.composition import Node
from asyncflow.sdk.options import (
    After,
    Executor,
    Options,
    Reassignment,
    Resources,
    Seconds,
    any_seconds,
    extension,
    finished,
    whole_seconds,
)
from asyncflow.sdk.references import render_mapping

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

RetryLogic = Literal["FIXED", "LINEAR_BACKOFF", "EXPONENTIAL_BACKOFF"]
TimeoutPolicy = Literal["RETRY", "TIME_OUT_WF", "ALERT_ONLY"]


class TaskOptions(TypedDict, total=False):
    """What `@task` may say; what is left out has Conductor's default (3 retries, 60 s apart).

    Durations are seconds. `timeout` bounds one attempt, `response_timeout` its silence (the same unless
    given), `poll_timeout` its waiting for a start, `total_timeout` all attempts together. With a timeout
    the policy is RETRY unless given. `retry_delays` lists the delay before each retry, fractions allowed,
    and sets their number unless `retries` does. `jitter` is the most that is added to a delay.
    `concurrency` bounds attempts over all workflows; `rate` is a pair: starts, and the window in seconds.
    What is said of workers elsewhere is as on a node; see `Options`.
    """

    name: str
    description: str
    retries: int
    retry_delay: Seconds
    retry_logic: RetryLogic
    retry_delays: Sequence[float]
    max_retry_delay: Seconds
    backoff_scale: int
    jitter: float
    timeout: Seconds
    response_timeout: Seconds
    poll_timeout: Seconds
    total_timeout: Seconds
    timeout_policy: TimeoutPolicy
    executor: Executor
    resources: Resources
    priority: int
    weight: float
    execute_when_recovering: bool
    max_in_flight_per_worker: int
    reassign: Reassignment
    pin_worker_version: bool
    concurrency: int
    rate: tuple[int, Seconds]
    input_template: Mapping[str, object]
    owner_email: str
    extra: Mapping[str, object]


_PLAIN = {
    "description": "description",
    "retries": "retryCount",
    "retry_logic": "retryLogic",
    "backoff_scale": "backoffScaleFactor",
    "timeout_policy": "timeoutPolicy",
    "concurrency": "concurrentExecLimit",
    "input_template": "inputTemplate",
    "owner_email": "ownerEmail",
}
_DURATIONS = {
    "retry_delay": "retryDelaySeconds",
    "max_retry_delay": "maxRetryDelaySeconds",
    "timeout": "timeoutSeconds",
    "response_timeout": "responseTimeoutSeconds",
    "poll_timeout": "pollTimeoutSeconds",
    "total_timeout": "totalTimeoutSeconds",
}
_TIMEOUTS = ("timeout", "poll_timeout", "total_timeout")


class TaskFunction(Generic[P, R_co]):
    """A function that is a task; calling it calls the function, with nothing in between.

    Attributes:
        name: the task's name in definitions.
        function: the author's function.
        executor: where it runs: `loop` for `async def`, `thread` for `def`, unless the author chose.
        binding: how inputs become its parameters.
    """

    def __init__(self, function: Callable[P, R_co], options: TaskOptions) -> None:
        """Make the function a task.

        Raises:
            InvalidInput: an option makes no sense, or the function cannot take inputs by name.
        """
        _refuse_no_function(function)
        self.__name__: str = getattr(function, "__name__", options.get("name", ""))
        if not self.__name__:
            raise InvalidInput(f"{function!r} has no name of its own; give name=", field="task")
        functools.update_wrapper(cast("Callable[..., R_co]", self), function)
        self.name: str = options.get("name") or self.__name__
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function)
        self.executor: Executor = options.get("executor") or ("loop" if self.is_async else "thread")
        self.binding: Binding = binding_of(function)
        self._definition = _task_definition(self.name, options)
        if self.executor not in get_args(Executor):
            raise InvalidInput(f"one of {', '.join(get_args(Executor))}", field=f"{self.name}.executor")
        if self.executor == "loop" and not self.is_async:
            raise InvalidInput(
                "a plain def would block the loop; make it async or use a thread", field=self.name
            )
        if self.executor in ("thread", "process") and self.is_async:
            raise InvalidInput(f"an async def runs on the loop, not in a {self.executor}", field=self.name)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """What the function itself returns for these arguments."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        """The task's name."""
        return f"<task {self.name}>"

    def definition(self) -> dict[str, object]:
        """The task definition as Conductor's JSON; only the name if no option was given."""
        return render_mapping(self._definition, self.name)

    def node(  # noqa: PLR0913 -- the options a function's node takes most, beside its parameters
        self,
        ref: str | None = None,
        /,
        *,
        after: After | None = None,
        optional: bool | None = None,
        permissive: bool | None = None,
        start_delay: Seconds | None = None,
        resources: Resources | None = None,
        priority: int | None = None,
        inputs: Mapping[str, object] | None = None,
        **values: object,
    ) -> Node:
        """A task of a definition that calls this function; the keywords are its parameters.

        A parameter that has the name of an option is given in `inputs`; further options are set with
        `configure` on the node.

        Args:
            ref: the reference name; by default the task's name, numbered when it is taken.
            inputs: parameters as a mapping; with it, every option name means the option.

        Raises:
            InvalidInput: a required parameter is missing, one is unknown or given twice, or a keyword
                is both a parameter and an option; the message names the node and the parameter.
        """
        given = {
            "after": after,
            "optional": optional,
            "permissive": permissive,
            "start_delay": start_delay,
            "resources": resources,
            "priority": priority,
        }
        options = cast("Options", {key: value for key, value in given.items() if value is not None})
        place = ref or self.name
        if inputs is None:
            self._refuse_clash(options, place)
        options["inputs"] = self._inputs(inputs or {}, values, place, frozenset(given))
        return self._node(ref, options)

    def _node(self, ref: str | None, options: Options) -> Node:
        options["name"] = self.name
        if ref:
            options["ref"] = ref
        if len(self._definition) > 1:
            options["task_definition"] = self._definition
        node = Node("SIMPLE", self.name, options)
        node.function = self
        return node

    def _refuse_clash(self, options: Options, place: str) -> None:
        clash = [field.name for field in self.binding.fields if field.name in options]
        if clash:
            raise InvalidInput(
                f"{', '.join(clash)} is an option of node() and a parameter of {self.name}: "
                f"give the parameters as inputs={{…}}",
                field=place,
            )

    def _inputs(
        self, inputs: Mapping[str, object], values: Mapping[str, object], place: str, reserved: frozenset[str]
    ) -> dict[str, object]:
        double = sorted(set(inputs) & set(values))
        if double:
            raise InvalidInput(f"given twice: {', '.join(double)}", field=place)
        merged = {**inputs, **values}
        whole = self.binding.whole
        if whole is not None and set(merged) == {whole} and isinstance(merged[whole], Mapping):
            return dict(cast("Mapping[str, object]", merged[whole]))
        self._check(merged, place, reserved)
        return merged

    def _check(self, inputs: Mapping[str, object], place: str, reserved: frozenset[str]) -> None:
        known = {field.name for field in self.binding.fields}
        unknown = [] if self.binding.is_open else sorted(set(inputs) - known)
        if unknown:
            takes = ", ".join(sorted(known)) or "no parameters"
            raise InvalidInput(
                f"{self.name} has no parameter {', '.join(unknown)}; it takes {takes}", field=place
            )
        template = self._definition.get("inputTemplate")
        filled = set(inputs) | set(template if isinstance(template, Mapping) else ())
        missing = [field.name for field in self.binding.fields if field.required and field.name not in filled]
        if missing:
            hint = "; names that are options too go into inputs={…}" if reserved & set(missing) else ""
            raise InvalidInput(f"{self.name} needs {', '.join(missing)}{hint}", field=place)


def _refuse_no_function(function: object) -> None:
    """Refuse what could be called, perhaps, but would not do a task's work."""
    if not callable(function) or isinstance(function, TaskFunction):
        what = "is a task already" if isinstance(function, TaskFunction) else "is no function"
        raise InvalidInput(
            f"{function!r} {what}; options are given by name, as in @task(retries=3)", field="task"
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidInput(
            "yields; a task returns what it gives", field=getattr(function, "__name__", "task")
        )


@overload
def task(function: Callable[P, R], /) -> TaskFunction[P, R]: ...
@overload
def task(**options: Unpack[TaskOptions]) -> Callable[[Callable[P, R]], TaskFunction[P, R]]: ...
def task(
    function: Callable[P, R] | None = None, /, **options: Unpack[TaskOptions]
) -> TaskFunction[P, R] | Callable[[Callable[P, R]], TaskFunction[P, R]]:
    """Make a function a task: `@task`, or `@task(retries=3, timeout=60)`.

    Its parameters are the task's inputs; what it returns is the task's output, under `result` unless it
    is a mapping, a model or a dataclass. A parameter called `ctx` receives the task context; a single
    parameter `input: dict` receives the whole input.

    Args:
        options: see `TaskOptions`.

    Raises:
        InvalidInput: as `TaskFunction`.
    """
    if function is not None:
        return TaskFunction(function, options)
    return lambda decorated: TaskFunction(decorated, options)


def _task_definition(name: str, options: TaskOptions) -> dict[str, object]:
    known = set(TaskOptions.__annotations__)
    unknown = sorted(set(options) - known)
    if unknown:
        raise InvalidInput(
            f"@task has no option {', '.join(unknown)}; other fields go into extra", field=name
        )
    said: dict[str, object] = {key: value for key, value in options.items() if value is not None}
    if "timeout" in said:
        said.setdefault("response_timeout", said["timeout"])
    if any(word in said for word in _TIMEOUTS):
        said.setdefault("timeout_policy", "RETRY")
    if "retry_delays" in said:
        delays = said["retry_delays"]
        if not isinstance(delays, list | tuple):
            raise InvalidInput("must be a list of seconds", field=f"{name}.retry_delays")
        said.setdefault("retries", len(delays))
    fields: dict[str, object] = {"name": name}
    fields |= {key: said[word] for word, key in _PLAIN.items() if word in said}
    fields |= {
        key: whole_seconds(said[word], f"{name}.{word}") for word, key in _DURATIONS.items() if word in said
    }
    if "jitter" in said:
        fields["backoffJitterMs"] = round(any_seconds(said["jitter"], f"{name}.jitter") * 1000)
    if "rate" in said:
        rate = said["rate"]
        if not isinstance(rate, tuple) or len(rate) != 2:
            raise InvalidInput("must be a pair: starts, and the window in seconds", field=f"{name}.rate")
        fields["rateLimitPerFrequency"] = rate[0]
        fields["rateLimitFrequencyInSeconds"] = whole_seconds(rate[1], f"{name}.rate")
    return finished(fields, extension(said, name), options.get("extra"), name)
