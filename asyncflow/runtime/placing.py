"""On which resource and which of its instances an attempt is: chosen with its grant, kept until its end.

A reservation belongs to the same key as what the attempt holds in admission, so the two are given back
together. Which instance it is decides `runtime/resources`; nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from functools import lru_cache, partial

from asyncflow.errors import InvalidInput, PluginError
from asyncflow.model.resources import PART_MARK, Need, ResourceLimit
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.values import JsonObject, JsonValue
from asyncflow.runtime.jobs.seams import ResourcePool

JOB = "job"
"""The executor of tasks that a resource performs."""

Key = tuple[str, int]
Place = tuple[str, str]
"""A resource, and the name of one of its instances; "" where it has none."""

NOWHERE: Place = ("", "")

Row = list[JsonValue]
"""`[resource, weight, mode, key]`, and the instance where one is reserved."""

_INSTANCE = 4


@lru_cache(maxsize=1_000)
def _alone(name: str) -> tuple[Need, ...]:
    """The needs of a job that needs its resource and nothing else."""
    return (Need(name),)


class Placing:
    """The reservations of this engine, by who has them."""

    def __init__(self, pool: ResourcePool, graces: dict[str, float]) -> None:
        """Nobody has any; `graces` is told how long the jobs of a resource may take to be cancelled."""
        self._pool, self._graces = pool, graces
        self._places: dict[Key, tuple[Place, ...]] = {}
        self._offered: set[str] = set()
        self._lost: set[Place] = set()

    def needs(self, task: TaskState, needs: tuple[Need, ...]) -> tuple[Need, ...]:
        """What a record needs, with parts of the resource that its job goes to, and itself as the last one.

        Raises:
            InvalidInput: no resource takes it, or it is not said which one does.
        """
        if task.executor != JOB:
            return needs
        pool = self._pool
        names = [need.resource for need in needs if pool.settings_of(need.resource) is not None]
        name = pool.for_task(task.node.type, names)
        if not needs and self.part_limit(name) is None:
            return _alone(name)
        named = [need for need in needs if need.resource == name]
        parts = self._parts(name, task.input)
        return (*(need for need in needs if need.resource != name), *parts, *(named or _alone(name)))

    def _parts(self, name: str, given: JsonObject) -> Iterable[Need]:
        if self.part_limit(name) is None:
            return ()
        return [Need(f"{name}{PART_MARK}{part}") for part in self._pool.parts(name, given)]

    def part_limits(self, needs: Iterable[Need]) -> Iterator[tuple[str, ResourceLimit]]:
        """The parts of resources among these, with what limits each."""
        for need in needs:
            if PART_MARK in need.resource and (limit := self.part_limit(need.resource)) is not None:
                yield need.resource, limit

    def part_limit(self, resource: str) -> ResourceLimit | None:
        """What limits each part of a resource, by its name or that of a part; None where nothing does."""
        settings = self._pool.settings_of(resource.partition(PART_MARK)[0])
        return None if settings is None or settings.per_part.is_any else settings.per_part

    def refused(self, needs: Iterable[Need]) -> None:
        """Somebody has to wait: where an instance is missing, it may be made."""
        for need in needs:
            if self._pool.settings_of(need.resource) is not None:
                self._pool.wanted(need.resource)

    def place(self, key: Key, needs: tuple[Need, ...], *, is_job: bool) -> Place:
        """Reserve an instance of each resource that has some; what the attempt's event says of it."""
        pool = self._pool
        if is_job:
            needs = needs[-1:]
            self._know(needs[0].resource)
        kept: dict[str, str] = {}
        for name in dict.fromkeys([need.resource for need in needs]):
            if pool.settings_of(name) is not None and (instance := pool.place(name)):
                kept[name] = instance
        if kept:
            places = self._places[key] = tuple(kept.items())
            return places[0]
        return (needs[0].resource, "") if is_job else NOWHERE

    def rows(self, key: Key, needs: Iterable[Need]) -> list[Row]:
        """What was granted, as it is recorded of an attempt that outlives this process.

        A row ends with the instance that was reserved for it, if its resource has some.
        """
        places = self.of(key)
        rows: list[Row] = []
        for need in needs:
            row: Row = [need.resource, need.weight, need.mode, need.key]
            if need.resource in places:
                row.append(places.pop(need.resource))
            rows.append(row)
        return rows

    def restore_rows(self, key: Key, rows: Iterable[Row]) -> None:
        """Recovery: a worker elsewhere goes on with the instances in these rows."""
        kept = tuple((str(row[0]), str(row[_INSTANCE])) for row in rows if len(row) > _INSTANCE)
        if kept:
            self._places[key] = kept
            for resource, instance in kept:
                self._pool.restore_place(resource, instance)

    def handles(self, key: Key) -> dict[str, JsonValue]:
        """What the services call the instances that an attempt has reserved, by resource."""
        places = self._places.get(key, ()) if self._places else ()
        return {resource: self._pool.handle_of(resource, instance) for resource, instance in places}

    def offered(self, needs: Iterable[Need]) -> None:
        """Somebody waits for a worker elsewhere, and then for these."""
        self._offered.update(n.resource for n in needs if self._pool.settings_of(n.resource) is not None)

    def polled(self, is_wanted: Callable[[str], object]) -> None:
        """Workers elsewhere want tasks: of what those need, instances that are missing may be made."""
        for resource in self._offered:
            if is_wanted(resource):
                self._pool.wanted(resource)

    def restore(self, key: Key, resource: str, instance: str) -> None:
        """Recovery: an open job of an earlier process is on this instance, or of this resource."""
        self._know(resource)
        if instance:
            self._places[key] = ((resource, instance),)
            self._pool.restore_place(resource, instance)

    def _know(self, resource: str) -> None:
        settings = self._pool.settings_of(resource)
        if settings is not None:
            self._graces[resource] = settings.cancel_grace_s

    def rename(self, old: Key, new: Key) -> None:
        """From here on somebody else has what this one had."""
        places = self._places.pop(old, None)
        if places is not None:
            self._places[new] = places

    def release(self, key: Key) -> None:
        """The attempt or job is over, or nothing came of its grant."""
        for resource, instance in self._places.pop(key, ()) if self._places else ():
            self._pool.unplace(resource, instance)
            if self._lost and not any((resource, instance) in places for places in self._places.values()):
                self._lost.discard((resource, instance))

    def instance_lost(self, resource: str, instance: str) -> None:
        """An instance is gone under those who have it reserved."""
        if any((resource, instance) in places for places in self._places.values()):
            self._lost.add((resource, instance))

    def lost_of(self, key: Key) -> list[str]:
        """The resources of which an attempt has an instance reserved that is gone, whenever that was."""
        return [
            resource
            for resource, instance in self._places.get(key, ())
            if (resource, instance) in self._lost or not self._pool.handle_of(resource, instance)
        ]

    def has(self, key: Key, resource: str, instance: str) -> bool:
        """Whether this is still what was reserved with a grant: it may have been given back meanwhile."""
        return (resource, instance) in self._places.get(key, ())

    def of(self, key: Key) -> dict[str, str]:
        """The instances an attempt has reserved, by resource."""
        return dict(self._places.get(key, ()))

    def clients(self, state: ExecutionState, task: TaskState) -> Callable[[str], object]:
        """What gives an attempt the clients of the resources it holds, as they are when it begins."""
        names = frozenset(str(row[0]) for row in task.grants or ())
        return partial(self._client, names, self.of((state.execution_id, task.number)))

    def _client(self, names: Container[str], places: Mapping[str, str], name: str) -> object:
        if name not in names:
            raise InvalidInput(f"the task does not name {name}", field="asyncflow.resources")
        manager = self._pool.manager(name)
        if manager is None:
            raise PluginError(f"resource {name}: {self._pool.trouble(name) or 'it has no manager'}")
        instance = places.get(name, "")
        return manager.client(self._pool.handle_of(name, instance) if instance else "")
