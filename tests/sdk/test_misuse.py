"""What a newcomer gets wrong is refused at once, by name, and in words of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import asyncflow as af
from asyncflow.errors import InvalidInput
from asyncflow.sdk import operators as nodes
from asyncflow.sdk.references import Reference

made: Any = nodes  # authors have no type checker: what it would tell them has to be told by us
task: Any = af.task
x: Any = Reference("workflow.input.x")


def plain(value: object) -> object:
    return value


def lines() -> Iterator[int]:
    yield 1


async def messages() -> AsyncIterator[int]:
    yield 1


@af.task
def known(value: object) -> object:
    return value


def workflow(**options: object) -> Any:
    made_up: Any = af.Workflow
    return made_up("w", **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: made.noop(ref="n", retires=3), r"n: a node has no option retires"),
        (lambda: made.noop(ref="n").configure(retires=3), r"n: a node has no option retires"),
        (lambda: made.http("http://a", timeout=3, ref="h"), r"h: a node has no option timeout"),
        (
            lambda: made.switch(x, cases={1: nodes.noop(), "1": nodes.noop()}, ref="s"),
            r"s\.cases: two .* '1'",
        ),
        (lambda: made.switch(x, cases=[nodes.noop()], ref="s"), "s: cases are a mapping"),
        (lambda: made.fork(nodes.noop(), ref="f"), "f: branches are a list"),
        (lambda: made.join(5, ref="j"), "j: 5 is neither a node nor"),
        (lambda: made.join([5], ref="j"), "j: 5 is neither a node nor"),
        (lambda: made.exclusive_join([5], ref="j"), "j: 5 is neither a node nor"),
        (lambda: made.noop(ref="n", after=5), r"n\.after: 5 is neither"),
        (lambda: made.command("ls", "-l /tmp", ref="c"), r"c: args is a list, such as \['-l', '/tmp'\]"),
        (lambda: made.set_variables(5), "set_variables: variables are a mapping"),
        (lambda: made.wait(seconds=float("nan")), "wait: nan is no duration"),
        (lambda: made.wait(seconds=float("inf")), "wait: inf is no duration"),
        (lambda: made.wait_until(5), "wait_until: 5 is no moment"),
        (lambda: made.http("http://a", connect_timeout="5"), r"http\.connect_timeout: '5' is no duration"),
        (lambda: made.http("http://a", read_timeout=-1), r"http\.read_timeout: -1 is no duration"),
        (lambda: made.dynamic_fork(x, task=plain, ref="f"), "f: <function plain .* is no task: decorate it"),
        (lambda: x[1.5], "1.5 is no key"),
        (lambda: x[None], "None is no key"),
    ],
)
def test_node_made_in_a_wrong_way_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: task("name"), "'name' is no function; options are given by name"),
        (lambda: task(5), "5 is no function"),
        (lambda: task(known), "<task known> is a task already"),
        (lambda: task(lines), "lines: yields; a task returns"),
        (lambda: task(messages), "messages: yields; a task returns"),
        (lambda: task(executor="forked")(plain), r"plain\.executor: one of loop, thread, process, remote"),
        (lambda: task(timeout=float("nan"))(plain), r"plain\.timeout: nan is no duration"),
        (lambda: task(timeout=float("inf"))(plain), r"plain\.timeout: inf is no duration"),
        (lambda: task(jitter="5")(plain), r"plain\.jitter: '5' is no duration"),
        (lambda: task(jitter=-5)(plain), r"plain\.jitter: -5 is no duration"),
        (lambda: task(rate=5)(plain), r"plain\.rate: must be a pair"),
        (lambda: task(rate="5/1m")(plain), r"plain\.rate: must be a pair"),
        (lambda: task(retry_delays=5)(plain), r"plain\.retry_delays: must be a list"),
        (lambda: task(resources=[5])(plain), r"plain\.resources: \[5\] is neither"),
    ],
)
def test_task_made_in_a_wrong_way_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: workflow(rate_limit=5).to_definition(), r"w\.rate_limit: must be a key and how many"),
        (lambda: workflow(rate_limit="abc").to_definition(), r"w\.rate_limit: must be a key and how many"),
        (lambda: workflow().output(x), r"w\.output: an output has keys"),
        (lambda: workflow().output(5), r"w\.output: an output has keys"),
        (lambda: workflow().register(plain), "w: <function plain .* is no task: decorate it"),
    ],
)
def test_workflow_made_in_a_wrong_way_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make()


def test_workflow_within_itself_is_refused() -> None:
    itself = workflow()

    with pytest.raises(InvalidInput, match="w: cannot be within itself"):
        _ = itself >> itself
