"""What the registry finds, what it refuses, and in which words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel

from asyncflow.errors import PluginError
from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import Job, JobStatus
from asyncflow.plugins.listeners import CommittedEvent, Listener
from asyncflow.plugins.registry import BUILT_IN, Registry
from asyncflow.plugins.resources import JobInput, ResourceManager
from asyncflow.plugins.tasks import Context, TaskType

Install = Callable[[str, str, str], None]


class Step(JobInput):
    query: str


class Cluster(ResourceManager):
    tasks: ClassVar[Mapping[str, type[BaseModel]]] = {"CLUSTER_STEP": Step}

    async def submit(self, job: Job) -> str:
        return job.token

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        return {each: JobStatus("succeeded") for each in handles}


class Shout(TaskType):
    name = "SHOUT"

    async def run(self, ctx: Context, given: BaseModel | JsonObject) -> Mapping[str, object]:
        return {"said": str(given).upper()}


class Ear(Listener):
    async def on_event(self, event: CommittedEvent) -> None:
        """Hear."""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package with one module and its entry points where packages are looked for."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(module: str, points: str, code: str) -> None:
        (tmp_path / f"{module}.py").write_text(code)
        facts = tmp_path / f"{module}-1.2.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.2\n")
        (facts / "entry_points.txt").write_text(points)

    return put


def test_installed_plugins_are_found_by_their_entry_points(install: Install) -> None:
    install(
        "af_shout",
        "[asyncflow.tasks]\nSAY_LOUD = af_shout:Loud\n",
        "from asyncflow.plugins.tasks import TaskType\n"
        "class Loud(TaskType):\n"
        "    name = 'SAY_LOUD'\n"
        "    async def run(self, ctx, given):\n"
        "        return {}\n",
    )

    registry = Registry.load()

    assert [*registry.tasks] == ["SAY_LOUD"]
    (found,) = (each for each in registry.plugins if each.kind == "task")
    assert (found.distribution, found.version, found.target) == ("af_shout", "1.2", "af_shout:Loud")


def test_a_broken_plugin_is_listed_and_stops_nothing(install: Install) -> None:
    install(
        "af_broken", "[asyncflow.resources]\nbroken = af_broken:Gone\n", "raise SystemExit('no licence')\n"
    )
    install("af_empty", "[asyncflow.listeners]\nempty = af_empty:Nobody\n", "")
    install("af_fine", f"[asyncflow.listeners]\nfine = {__name__}:Ear\n", "")

    registry = Registry.load()

    failed = {each.name: each for each in registry.failed}
    assert failed["broken"].group == "asyncflow.resources"
    assert failed["broken"].reason == "SystemExit: no licence"
    assert "Nobody" in failed["empty"].reason
    assert "fine" in registry.listeners
    assert registry.why_not("resource", "broken") == "the plugin broken is failed: SystemExit: no licence"


def test_nothing_is_imported_before_it_is_asked_for(install: Install) -> None:
    install("af_lazy", "[asyncflow.listeners]\nlazy = af_lazy:Ear\n", f"from {__name__} import Ear\n")

    registry = Registry.load()

    assert "af_lazy" not in sys.modules
    assert registry.listeners["lazy"].__name__ == "Ear"
    assert "af_lazy" in sys.modules


def test_disabled_plugins_are_told_and_not_imported(install: Install) -> None:
    install("af_off", "[asyncflow.tasks]\nOFF = af_off:Off\n", "raise RuntimeError('imported')\n")

    registry = Registry.load(disabled=["task:OFF"])

    assert [each.state for each in registry.plugins if each.name == "OFF"] == ["disabled"]
    assert registry.why_not("task", "OFF") == "the plugin OFF is disabled"


def test_classes_can_be_given_in_a_program() -> None:
    registry = Registry.built_in().with_classes(
        resources={"cluster": Cluster}, tasks=[Shout], listeners={"ear": Ear}
    )

    assert registry.resources["cluster"] is Cluster
    assert registry.job_types["CLUSTER_STEP"] == "cluster"
    assert {"SHOUT", "CLUSTER_STEP"} <= registry.task_types
    assert registry.listeners["ear"] is Ear


def test_built_in_types_of_resource_are_there() -> None:
    registry = Registry.built_in()

    assert [*registry.resources] == [*BUILT_IN] == ["limit", "http-service", "command", "workflow-server"]
    assert registry.failed == []


def test_two_plugins_cannot_bring_one_type_of_task() -> None:
    with pytest.raises(PluginError, match="the task type CLUSTER_STEP is brought by resource first already"):
        Registry.built_in().with_classes(resources={"first": Cluster, "second": Cluster})


def test_all_faults_of_a_class_are_told_at_once() -> None:
    class Bad(ResourceManager):
        Config = dict  # type: ignore[assignment]  # what is to be refused
        tasks = {"HTTP": Step, "lower": Step, "ODD_MODEL": int}  # type: ignore[dict-item]  # noqa: RUF012
        tier = "often"  # type: ignore[assignment]
        poll_batch = -1
        submit_timeout = 0

        def submit(self, job: Job) -> str:  # type: ignore[override]
            return ""

        async def cancel(self, instance: str) -> None:  # type: ignore[override]
            """Take too little."""

        async def destory(self, handle: str) -> None:
            """Be misspelt."""

    with pytest.raises(PluginError) as caught:
        Registry.built_in().with_classes(resources={"Bad_Name": Bad})

    said = str(caught.value)
    for part in (
        "name 'Bad_Name'",
        "Config: a subclass",
        "task type HTTP is one of the engine's own",
        "task type 'lower'",
        "tasks['ODD_MODEL']: a pydantic model",
        "tier 'often'",
        "poll_batch -1",
        "submit_timeout 0",
        "submit is not async",
        "submit needs poll",
        "cancel cannot be called with (instance, handle)",
        "destory is nothing the engine calls (did you mean destroy?)",
    ):
        assert part in said


def test_helpers_may_be_called_nearly_as_what_is_written() -> None:
    class Careful(Cluster):
        """Its own words are near those of the contract, and none of them is missing."""

        ports = (1, 2)

        def checked(self) -> bool:
            return bool(self.ports)

        def submitted(self) -> bool:
            return self.checked()

    assert Registry.built_in().with_classes(resources={"careful": Careful}).failed == []


def test_parts_are_asked_of_the_class() -> None:
    class Wrong(Cluster):
        def parts(self, given: JsonObject) -> list[str]:  # type: ignore[override]  # the mistake
            return []

    class Late(Cluster):
        @classmethod
        async def parts(cls, given: JsonObject) -> list[str]:  # type: ignore[override]  # the mistake
            return []

    for kind in (Wrong, Late):
        with pytest.raises(PluginError, match="parts is no class method that answers at once"):
            Registry.built_in().with_classes(resources={"wrong": kind})


def test_a_class_of_another_contract_is_refused_by_its_version() -> None:
    class Later(Shout):
        contract = 2

    with pytest.raises(PluginError, match="written for contract 2; this asyncflow has contract 1"):
        Registry.built_in().with_classes(tasks=[Later])


def test_a_task_type_is_registered_under_its_own_name() -> None:
    with pytest.raises(PluginError, match="name is 'SHOUT', but it is registered as 'WHISPER'"):
        Registry.built_in().with_classes(tasks={"WHISPER": Shout})
