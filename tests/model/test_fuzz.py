"""Whatever is handed in, the answer is a definition, its violations, or one of our errors."""

from __future__ import annotations

import copy
import json
import random

from hypothesis import given
from hypothesis import strategies as st

from asyncflow.errors import DefinitionError, InvalidInput, LimitExceeded
from asyncflow.model.definition import (
    WorkflowDefinition,
    WorkflowTask,
    canonical_json,
    parse_task_definition,
    parse_workflow,
    to_json,
)
from asyncflow.model.documents import parse_document
from asyncflow.model.extension import TaskExtension
from asyncflow.model.validation import validate_task_definition, validate_workflow
from asyncflow.model.validation_lint import lint_workflow
from tests.model.making import Json, fork, ours, task, workflow

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
MODELS = (WorkflowTask, WorkflowDefinition, TaskExtension)
KEYS = st.sampled_from([field.alias or "" for model in MODELS for field in model.model_fields.values()])
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(), inner, max_size=6)
)

STRANGE: list[object] = [
    None, True, False, 0, -1, 2**31, 2**63, 10**400, 1.5, 1e308, float("nan"), float("inf"),
    "", "x", "t", "${", "${}", "${t.output}", "${x.output", "\0", "\ud800", "😀", "a:b", "__", "7",
    "from a to b",     [], [None], [[]], [{}], {}, {"a": []}, {"": {}}, {"tasks": [{}]}, [[{}]], {"a": [{}]},
    "true", "SIMPLE", "WAIT", "DO_WHILE", "SUB_WORKFLOW", "FORK_JOIN", "JOIN", "SWITCH", "TERMINATE",
    "2024-01-01", "5s",
]  # fmt: skip

SEED = workflow(
    fork(task(ref="a"), task("HTTP", "b", inputParameters={"uri": "http://x", "method": "GET"})),
    task("JOIN", "j", joinOn=["a", "b"]),
    task("SWITCH", "s", evaluatorType="value-param", expression="k", decisionCases={"x": [task(ref="c")]}),
    task("DO_WHILE", "l", loopCondition="", loopOver=[task("WAIT", "w", inputParameters={"duration": "5s"})]),
    task("SUB_WORKFLOW", "u", subWorkflowParam={"name": "n", "workflowDefinition": workflow(task(ref="v"))}),
    ours(ref="d", dependsOn=["u"], resources=[{"name": "r", "weight": 2, "hold": "from a to d"}], priority=3),
    task(ref="e", inputParameters={"k": ["${d.output.x}"]}, taskDefinition={"name": "e", "retryCount": 2}),
    task("TERMINATE", "z", inputParameters={"terminationStatus": "COMPLETED"}),
    outputParameters={"o": "${e.output}"},
    asyncflow={"failIfFailedWeightAbove": 2},
)


def judge(data: object) -> str:
    """What becomes of the value; an accepted one must survive rendering."""
    try:
        definition = parse_workflow(data)
    except DefinitionError as refused:
        return "malformed" if refused.violations else "refused without a reason"
    found = validate_workflow(definition)
    lint_workflow(definition)
    if found:
        return "refused"
    is_same = parse_workflow(json.loads(canonical_json(definition))) == parse_workflow(to_json(definition))
    return "accepted" if is_same else "changed by rendering"


@given(ANYTHING)
def test_no_value_raises_anything_but_our_errors(data: object) -> None:
    assert judge(data) in {"malformed", "refused", "accepted"}
    try:
        validate_task_definition(parse_task_definition(data))
    except DefinitionError as refused:
        assert refused.violations  # noqa: PT017 - not raising is fine too


@given(st.dictionaries(KEYS, ANYTHING), st.dictionaries(KEYS, ANYTHING))
def test_no_task_raises_anything_but_our_errors(fields: Json, extension: Json) -> None:
    data = workflow(task() | fields, task(ref="b") | {"asyncflow": extension})

    assert judge(data) in {"malformed", "refused", "accepted"}


def mutated(seed: Json, dice: random.Random) -> Json:
    """The seed with one to three places replaced, removed, doubled or renamed."""
    data = copy.deepcopy(seed)
    for _ in range(dice.randint(1, 3)):
        places = list(containers(data))
        place = dice.choice(places)
        if isinstance(place, list):
            index = dice.randrange(len(place) + 1)
            place[index : index + dice.randint(0, 1)] = [copy.deepcopy(dice.choice([*STRANGE, *place]))]
        else:
            key = dice.choice([*place, "asyncflow", "type", "workflowTaskType", "unknown"])
            place[key] = copy.deepcopy(dice.choice([*STRANGE, dice.choice(places)]))
            if dice.random() < 0.2:
                del place[key]
    return data


def containers(value: object) -> list[dict[str, object] | list[object]]:
    found: list[dict[str, object] | list[object]] = []
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict | list):
            found.append(item)
            stack.extend(item.values() if isinstance(item, dict) else item)
    return found


def test_ten_thousand_mutated_definitions_are_judged() -> None:
    """Law: a changed definition is malformed, refused, or accepted with its meaning kept."""
    dice = random.Random(20_240_229)
    outcomes: dict[str, int] = {}
    for _ in range(10_000):
        outcome = judge(mutated(SEED, dice))
        outcomes[outcome] = outcomes.get(outcome, 0) + 1

    assert judge(SEED) == "accepted"
    assert set(outcomes) == {"malformed", "refused", "accepted"}
    assert min(outcomes.values()) > 500, outcomes


def test_damaged_texts_are_judged() -> None:
    """Law: text with bytes changed, cut or doubled is a value or an error with its place."""
    dice = random.Random(7)
    seed = json.dumps(SEED).encode()
    for _ in range(1_000):
        start, length = dice.randrange(len(seed)), dice.choice([0, 1, 1, 5, 200])
        text = seed[:start] + dice.randbytes(dice.choice([0, 1, 3])) + seed[start + length :]
        try:
            data = parse_document(text, format=dice.choice(["json", "yaml"]))
        except (InvalidInput, LimitExceeded):
            continue
        assert judge(data) in {"malformed", "refused", "accepted"}
