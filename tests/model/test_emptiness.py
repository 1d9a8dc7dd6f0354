"""Shared empty containers: nothing can be put into one that somebody did not make their own."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from asyncflow.model.emptiness import NO_ENTRIES, NO_QUEUE, own, own_queue

WRITES: dict[str, Callable[[], object]] = {
    "item": lambda: NO_ENTRIES.__setitem__(1, 2),
    "update": lambda: NO_ENTRIES.update({1: 2}),
    "setdefault": lambda: NO_ENTRIES.setdefault(1, 2),
    "merge": lambda: NO_ENTRIES.__ior__({1: 2}),
    "append": lambda: NO_QUEUE.append(1),
    "extend": lambda: NO_QUEUE.extend([1]),
    "appendleft": lambda: NO_QUEUE.appendleft(1),
    "extendleft": lambda: NO_QUEUE.extendleft([1]),
    "insert": lambda: NO_QUEUE.insert(0, 1),
    "add": lambda: NO_QUEUE.__iadd__([1]),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_shared_container_refuses_what_is_put_into_it(write: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match="own"):
        write()

    assert (NO_ENTRIES, len(NO_QUEUE)) == ({}, 0)


def test_shared_container_can_be_emptied_as_any_other() -> None:
    NO_ENTRIES.clear()
    NO_QUEUE.clear()

    assert NO_ENTRIES.pop("absent", 3) == 3


def test_owned_container_is_new_once_and_then_the_same() -> None:
    entries, queue = own(NO_ENTRIES), own_queue(NO_QUEUE)
    entries["a"] = 1
    queue.append(1)

    assert own(entries) is entries
    assert own_queue(queue) is queue


def test_copy_of_the_shared_one_is_owned_before_it_is_written_to() -> None:
    assert type(own(copy.deepcopy(NO_ENTRIES))) is dict
