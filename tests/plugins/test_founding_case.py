"""The case that all of this is for: many executions of several workflows share one cluster, then mail.

The engine, the EMR plugin over HTTP and the mail plugin over SMTP are the real ones; the service and the
time are not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from asyncflow_email import EmailManager
from asyncflow_emr import EmrManager

from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.values import JsonObject
from asyncflow.plugins.registry import Registry
from asyncflow.runtime.engine import EngineSettings
from asyncflow.testing.aws import AwsEndpoint
from asyncflow.testing.clock import VirtualClock
from asyncflow.testing.emr_service import Cluster, Emr, Timing
from asyncflow.testing.kit import VirtualEngine
from asyncflow.testing.mail import MailServer

MOST_STEPS, EXECUTIONS = 8, 50
IDLE_S = 600.0
REGISTRY = Registry.built_in().with_classes(resources={"emr": EmrManager, "email": EmailManager})


class World(NamedTuple):
    """What the engine meets, and the engine."""

    engine: VirtualEngine
    aws: AwsEndpoint
    mail: MailServer

    @property
    def clusters(self) -> list[Cluster]:
        return [*self.aws.emr.clusters.values()]


def resources(aws: AwsEndpoint, mail: MailServer) -> dict[str, ResourceSettings | ResourceLimit]:
    """One cluster for everybody, and a mail server that takes twenty a minute."""
    cluster: JsonObject = {
        "region": "eu-central-1",
        "endpoint_url": aws.url,
        "access_key": "AKTEST",
        "secret_key": "none",
        "step_concurrency": MOST_STEPS,
    }
    return {
        "cluster": ResourceSettings(
            "emr",
            ResourceLimit(MOST_STEPS),
            cluster,
            idle_after_s=IDLE_S,
            poll_first_s=15.0,
            poll_max_s=60.0,
        ),
        "mail": ResourceSettings(
            "email",
            ResourceLimit(rate=20, rate_window_ms=60_000),
            {"host": "127.0.0.1", "port": mail.port, "sender": "flow@example.com"},
        ),
    }


@asynccontextmanager
async def world(database: Path, step_s: float = 120.0) -> AsyncIterator[World]:
    clock = VirtualClock(auto=False)
    timing = Timing(boot=300.0, step=step_s, stop=60.0, lag=2.0)
    async with AwsEndpoint(Emr(lambda: clock.now().wall_ms, timing=timing)) as aws, MailServer() as mail:
        settings = EngineSettings(resources=resources(aws, mail), registry=REGISTRY)
        async with VirtualEngine(database, settings=settings, clock=clock) as engine:
            yield World(engine, aws, mail)


def step(ref: str) -> JsonObject:
    return {
        "name": ref,
        "taskReferenceName": ref,
        "type": "EMR_STEP",
        "inputParameters": {"args": ["spark-submit", f"{ref}.py", "${workflow.input.day}"]},
    }


def mail(subject: str) -> JsonObject:
    given: JsonObject = {"to": ["team@example.org"], "subject": subject, "text": "It is done."}
    return {"name": "mail", "taskReferenceName": "mail", "type": "EMAIL", "inputParameters": given}


def side_by_side(*refs: str) -> list[JsonObject]:
    fork: JsonObject = {"type": "FORK_JOIN", "forkTasks": [[step(ref)] for ref in refs]}
    join: JsonObject = {"type": "JOIN", "joinOn": [*refs]}
    return [{"name": name, "taskReferenceName": name, **body} for name, body in (("f", fork), ("j", join))]


BODIES: dict[str, list[JsonObject]] = {
    "report": [step("report")],
    "load": [step("extract"), step("load")],
    "compare": side_by_side("left", "right"),
    "train": [step("features"), *side_by_side("model_a", "model_b", "model_c")],
    "clean": [step("clean")],
}
STEPS = {"report": 1, "load": 2, "compare": 2, "train": 4, "clean": 1}


def workflows() -> list[JsonObject]:
    return [
        {"name": name, "version": 1, "tasks": [*tasks, mail(f"{name} ${{workflow.input.day}}")]}
        for name, tasks in BODIES.items()
    ]


async def run_all(met: World) -> list[str]:
    """Start every execution, in bursts, and let time pass until all have ended."""
    await met.engine.register_all(*workflows())
    started: list[str] = []
    for index in range(EXECUTIONS):
        execution = await met.engine.start([*BODIES][index % len(BODIES)], {"day": f"day-{index}"})
        started.append(execution.id)
        if index % 10 == 9:
            await met.engine.clock.advance(60)
    states = met.engine.service.engine.turns.states
    await met.engine.clock.run(lambda: all(states[each].is_ended for each in started), seconds=86_400)
    return started


@pytest.mark.timeout(110)
async def test_one_cluster_serves_fifty_executions_of_five_workflows(tmp_path: Path) -> None:
    async with world(tmp_path / "flow.db") as met:
        started = await run_all(met)
        states = [await met.engine.service.engine.state(each) for each in started]
        (cluster,) = met.clusters
        during = cluster.state
        await met.engine.clock.advance(IDLE_S + 120 + 60)
        done = Counter(truth.what for truth in met.aws.emr.truth)

        assert {state.status for state in states} == {"COMPLETED"}
        assert during in {"WAITING", "RUNNING"}  # it is kept for whoever comes next
        assert cluster.most_running == MOST_STEPS
        assert len(cluster.steps) == sum(STEPS.values()) * EXECUTIONS // len(STEPS)
        assert (done["RunJobFlow"], done["TerminateJobFlows"]) == (1, 1)
        assert met.aws.emr.perform("DescribeCluster", {"ClusterId": cluster.id})
        assert cluster.state == "TERMINATED"
        subjects = [str(taken.content["Subject"]) for taken in met.mail.mails]
        assert sorted(subjects) == sorted(
            f"{[*BODIES][index % len(BODIES)]} day-{index}" for index in range(EXECUTIONS)
        )


@pytest.mark.timeout(110)
async def test_cluster_survives_a_restart_in_the_middle(tmp_path: Path) -> None:
    """The second engine goes on with the same cluster and the same steps; time stands between them."""
    clock = VirtualClock(auto=False)
    timing = Timing(boot=300.0, step=120.0, stop=60.0, lag=2.0)
    async with AwsEndpoint(Emr(lambda: clock.now().wall_ms, timing=timing)) as aws, MailServer() as mail:
        settings = EngineSettings(resources=resources(aws, mail), registry=REGISTRY)
        async with VirtualEngine(tmp_path / "f.db", settings=settings, clock=clock) as engine:
            await engine.register_all(*workflows())
            started = [(await engine.start(name, {"day": "1"})).id for name in BODIES]
            await clock.advance(400)
        async with VirtualEngine(tmp_path / "f.db", settings=settings, clock=clock) as engine:
            states = engine.service.engine.turns.states
            await clock.run(lambda: all(s not in states or states[s].is_ended for s in started), seconds=9e4)
            statuses = {(await engine.service.engine.state(each)).status for each in started}
            await clock.advance(IDLE_S + 180)
        done = Counter(truth.what for truth in aws.emr.truth)

    assert statuses == {"COMPLETED"}
    assert (done["RunJobFlow"], done["TerminateJobFlows"]) == (1, 1)
    assert done["AddJobFlowSteps"] == sum(STEPS.values())
    assert len(mail.mails) == len(BODIES)


async def calls_in_ten_minutes(database: Path, executions: int) -> Counter[str]:
    """What is asked of EMR while as many steps run as may, and the others wait in the engine."""
    async with world(database, step_s=math.inf) as met:
        await met.engine.register_all(*workflows())
        for _ in range(executions):
            await met.engine.start("clean", {"day": "1"})
        await met.engine.clock.advance(900)
        before = Counter(met.aws.faults.calls)
        await met.engine.clock.advance(600)

        assert len(met.clusters[0].steps) == MOST_STEPS
        assert met.clusters[0].most_running == MOST_STEPS
        return met.aws.faults.calls - before


@pytest.mark.timeout(110)
async def test_calls_a_minute_do_not_grow_with_the_executions(tmp_path: Path) -> None:
    """One listing tells of all steps that are there; what waits is asked of nobody."""
    few = await calls_in_ten_minutes(tmp_path / "few.db", 10)
    many = await calls_in_ten_minutes(tmp_path / "many.db", 10_000)

    assert {*few} == {*many} == {"ListSteps", "DescribeCluster"}
    assert 0 < many.total() <= few.total() + 3  # the moments of polls are drawn
    assert many["ListSteps"] <= 2 * 10 + 2
