"""Event handlers in virtual time: what they listen to, when they act, and what each action does."""

from __future__ import annotations

import pytest

from asyncflow.errors import Conflict, NotFound
from asyncflow.model.events import TaskEnded
from asyncflow.model.values import JsonObject
from tests.integration.event_support import (
    BEGIN,
    act,
    all_of,
    handler,
    history,
    holding,
    only_task,
    run,
    start,
    status,
    telling,
)
from tests.integration.schedule_support import clock_at, services_on, started, wait, workflow


@pytest.mark.parametrize(
    ("sink", "event"),
    [
        ("conductor", "conductor:teller:tell"),
        ("conductor:news", "conductor:teller:news"),
        ("asyncflow:news", "asyncflow:news"),
    ],
)
async def test_a_task_publishes_and_a_handler_starts_a_workflow(sink: str, event: str) -> None:
    clock = clock_at(BEGIN)
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        await services.executions.register_workflow(workflow("teller", telling(sink, who={"name": "ann"})))
        details: JsonObject = {"correlationId": "c-${who.name}", "input": {"all": "${who}"}}
        await services.handlers.create(handler("h", event, start("w", **details)))
        await services.handlers.create(handler("other", "asyncflow:else", start("w")))
        teller = await run(services, "teller")
        await clock.rest()
        (found,) = await all_of(services, "w")

    told = found["input"]
    assert isinstance(told, dict)
    assert (told["all"], told["conductor.event.name"]) == ({"name": "ann"}, event)
    assert str(told["conductor.event.messageId"])[:24] == teller[:24]
    assert (found["correlationId"], found["event"], found["status"]) == ("c-ann", event, "COMPLETED")


async def test_domains_come_from_the_action_or_else_from_the_payload() -> None:
    clock = clock_at(BEGIN)
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        await services.handlers.create(handler("a", "asyncflow:a", start("w")))
        await services.handlers.create(handler("b", "asyncflow:b", start("w", taskToDomain={"*": "mine"})))
        for sink in "ab":
            await services.handlers.publish(sink, {"taskToDomain": {"*": "theirs"}})
        await clock.rest()

        assert [each["taskToDomain"] for each in await all_of(services, "w")] == [
            {"*": "theirs"},
            {"*": "mine"},
        ]


@pytest.mark.parametrize(
    ("condition", "more", "passes"),
    [
        ("", {}, True),
        ("$.n > 1", {}, True),
        ("$.n > 5", {}, False),
        ("$.n", {}, True),
        ("$.n - 2", {}, False),
        ("$.text", {"evaluatorType": "javascript"}, False),
        ("$.inner.deep === 1", {"evaluatorType": "graaljs"}, True),
        ("yes", {"evaluatorType": "value-param"}, True),
        ("absent", {"evaluatorType": "value-param"}, False),
    ],
)
async def test_a_condition_says_whether_a_handler_acts(
    condition: str, more: dict[str, str], *, passes: bool
) -> None:
    clock = clock_at(BEGIN)
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        await services.handlers.create(handler("h", "asyncflow:s", start("w"), condition=condition, **more))
        await services.handlers.publish("s", {"n": 2, "text": "t", "inner": '{"deep": 1}', "yes": "true"})
        await clock.rest()

        assert await started(services) == int(passes)
        assert services.handlers.delivery.counts == {"done" if passes else "skipped": 1}


@pytest.mark.parametrize("expands", [False, True])
async def test_json_in_texts_is_expanded_where_it_is_asked_for(*, expands: bool) -> None:
    clock = clock_at(BEGIN)
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        action = {**start("w", input={"got": "${a.b[0].c}"}), "expandInlineJSON": expands}
        await services.handlers.create(handler("h", "asyncflow:s", action))
        await services.handlers.publish("s", {"a": '{"b": ["{\\"c\\": 7}"]}'})
        await clock.rest()
        (found,) = await all_of(services, "w")

    told = found["input"]
    assert isinstance(told, dict)
    assert told["got"] == (7 if expands else None)


@pytest.mark.parametrize(("kind", "ends"), [("complete_task", "COMPLETED"), ("fail_task", "FAILED")])
@pytest.mark.parametrize("by", ["reference", "id", "id alone"])
async def test_a_task_is_ended_by_a_message(kind: str, ends: str, by: str) -> None:
    clock = clock_at(BEGIN)
    async with services_on(clock) as services:
        execution = await holding(services)
        task = only_task(await services.executions.get(execution))
        whom = {
            "reference": {"workflowId": "${e}", "taskRefName": "hold"},
            "id": {"workflowId": "${e}", "taskId": "${t}"},
            "id alone": {"taskId": "${t}"},
        }[by]
        details = {**whom, "output": {"a": "${value}"}, "reasonForIncompletion": "so it was told"}
        await services.handlers.create(handler("h", "asyncflow:s", act(kind, **details)))
        message = await services.handlers.publish("s", {"e": execution, "t": task["taskId"], "value": [1]})
        await clock.rest()
        found = await services.executions.get(execution)

    ended = only_task(found)
    assert (found["status"], ended["status"]) == (ends, ends)
    output = ended["outputData"]
    assert isinstance(output, dict)
    assert (output["a"], output["workflowId"], output["conductor.event.messageId"]) == (
        [1],
        execution,
        message,
    )
    if kind == "fail_task":
        assert ended["reasonForIncompletion"] == "so it was told"


@pytest.mark.parametrize("first", ["update", "message"])
async def test_of_an_update_and_a_message_the_first_counts(first: str) -> None:
    """C64: completion by push or by event, whichever comes first, is applied once."""
    clock = clock_at(BEGIN)
    async with services_on(clock) as services:
        execution = await holding(services)
        action = act("complete_task", workflowId=execution, taskRefName="hold", output={"by": "message"})
        await services.handlers.create(handler("h", "asyncflow:s", action))
        if first == "message":
            await services.handlers.publish("s", {})
            await clock.rest()
        await services.executions.signal(execution, "hold", {"by": "update"})
        await services.handlers.publish("s", {})
        await clock.rest()
        task = only_task(await services.executions.get(execution))
        ends = [
            each async for each in services.executions.events(execution) if isinstance(each.event, TaskEnded)
        ]

    output = task["outputData"]
    assert isinstance(output, dict)
    assert (task["status"], output["by"], len(ends)) == ("COMPLETED", first, 1)


async def test_an_execution_is_terminated_by_a_message_and_an_ended_one_left_alone() -> None:
    clock = clock_at(BEGIN)
    async with services_on(clock) as services:
        execution = await holding(services)
        action = act("terminate_workflow", workflowId="${e}", terminationReason="${why}")
        await services.handlers.create(handler("h", "asyncflow:s", action))
        for why in ("enough", "again"):
            await services.handlers.publish("s", {"e": execution, "why": why})
        await clock.rest()
        found = await services.executions.get(execution)

        assert (found["status"], found["reasonForIncompletion"]) == ("TERMINATED", "enough")
        assert await history(services, "h") == [
            ("COMPLETED", f"terminated {execution}"),
            ("COMPLETED", f"{execution} was TERMINATED"),
        ]


async def test_variables_are_set_and_lists_grow_in_the_order_of_messages() -> None:
    clock = clock_at(BEGIN)
    async with services_on(clock) as services:
        execution = await holding(services)
        await services.executions.set_variables(execution, {"seen": [], "last": None})
        variables = {"seen": "${n}", "last": "${n}"}
        grow = act("update_workflow_variables", workflowId="${e}", variables=variables, appendArray=True)
        await services.handlers.create(handler("h", "asyncflow:s", grow))
        for number in range(30):
            await services.handlers.publish("s", {"e": execution, "n": number})
        await clock.rest()

        assert (await services.executions.get(execution))["variables"] == {"seen": [*range(30)], "last": 29}


async def test_a_message_of_one_id_has_its_effect_once() -> None:
    clock = clock_at(BEGIN)
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        execution = await holding(services)
        await services.executions.set_variables(execution, {"seen": []})
        grow = act("update_workflow_variables", workflowId=execution, variables={"seen": 1}, appendArray=True)
        await services.handlers.create(handler("h", "asyncflow:s", start("w"), grow))
        for _ in range(2):
            for _ in range(3):
                assert await services.handlers.publish("s", {}, message_id="one") == "one"
            await clock.rest()

        assert await started(services) == 1
        assert (await services.executions.get(execution))["variables"] == {"seen": [1]}
        assert len(await history(services)) == 2


async def test_what_fails_is_tried_again_later_and_then_written_down() -> None:
    clock = clock_at(BEGIN)
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        await services.handlers.create(handler("bad", "asyncflow:s", start("missing"), start("w")))
        await services.handlers.create(handler("good", "asyncflow:s", start("w")))
        await services.handlers.create(handler("script", "asyncflow:s", start("w"), condition="nothing.here"))
        message = await services.handlers.publish("s", {})
        await clock.rest()
        at_once = await started(services)
        await clock.advance(60)

        assert at_once == await started(services) == 2
        assert await history(services, "bad", "FAILED") == [
            ("FAILED", "not_found: no such workflow: missing")
        ]
        ((failed, reason),) = await history(services, "script")
        assert failed == "FAILED"
        assert "nothing" in str(reason)
        assert services.handlers.delivery.counts == {"done": 1, "failed": 2, "retried": 6}
        (_, found) = await services.handlers.history("bad", state="failed")
        assert (found[0]["id"], found[0]["messageId"]) == (f"{message}_0", message)


async def test_what_can_be_done_meanwhile_is_done_by_a_retry() -> None:
    clock = clock_at(BEGIN)
    async with services_on(clock) as services:
        await services.handlers.create(handler("h", "asyncflow:s", start("late")))
        for number in range(3):
            await services.handlers.publish("s", {"n": number})
        await clock.advance(2)
        await services.executions.register_workflow(workflow("late"))
        await clock.advance(10)

        assert await started(services, "late") == 3
        assert await history(services, state="FAILED") == []


async def test_a_handler_that_is_not_active_or_was_deleted_gets_nothing() -> None:
    clock = clock_at(BEGIN)
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        await services.handlers.create(handler("h", "asyncflow:s", start("w"), active=False))
        await services.handlers.publish("s", {})
        await services.handlers.update(handler("h", "asyncflow:s", start("w")))
        await services.handlers.publish("s", {})
        await clock.rest()
        await services.handlers.delete("h")
        await services.handlers.publish("s", {})
        await clock.rest()

        assert await started(services) == 1
        with pytest.raises(NotFound):
            await services.handlers.delete("h")
        with pytest.raises(NotFound):
            await services.handlers.update(handler("h", "asyncflow:s", start("w")))


async def test_names_are_unique() -> None:
    async with services_on(clock_at(BEGIN)) as services:
        await services.handlers.create(handler("h", "asyncflow:s", start("w")))
        with pytest.raises(Conflict):
            await services.handlers.create(handler("h", "asyncflow:t", start("w")))

        assert [each["event"] for each in services.handlers.all()] == ["asyncflow:s"]


async def test_many_messages_reach_every_handler_while_others_fail() -> None:
    clock = clock_at(BEGIN)
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        await services.executions.register_workflow(workflow("v", wait("hold")))
        await services.handlers.create(handler("a", "asyncflow:s", start("w")))
        await services.handlers.create(handler("b", "asyncflow:s", start("v"), condition="$.n % 2 == 0"))
        await services.handlers.create(handler("c", "asyncflow:s", start("missing")))
        for number in range(200):
            await services.handlers.publish("s", {"n": number})
        await clock.rest()
        counted = await started(services), await started(services, "v")
        await clock.advance(60)

        assert counted == (200, 100)
        assert len(await history(services, "c", "FAILED")) == 200
        assert await status(services, (await all_of(services, "v"))[0]["workflowId"]) == "RUNNING"  # type: ignore[arg-type]
