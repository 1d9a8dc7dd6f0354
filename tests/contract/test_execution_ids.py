"""Execution ids: UUIDs of version 7 in the order of time, drawn apart by every process."""

from __future__ import annotations

import os
import uuid

import pytest

from asyncflow.app.identities import draw_execution_id

_NOW_MS = 1_790_000_000_000


def test_id_is_a_version_7_uuid_of_its_moment() -> None:
    drawn = uuid.UUID(draw_execution_id(_NOW_MS))
    assert (drawn.version, drawn.variant) == (7, uuid.RFC_4122)
    assert drawn.int >> 80 == _NOW_MS


def test_ids_of_one_moment_all_differ_in_many_bits() -> None:
    drawn = [uuid.UUID(draw_execution_id(_NOW_MS)).int for _ in range(5_000)]
    assert len(set(drawn)) == len(drawn)
    seen, missed = 0, 0
    for each in drawn:
        seen, missed = seen | each, missed | ~each
    random_bits = (seen & missed) & ((1 << 80) - 1)
    assert random_bits.bit_count() == 74


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_forked_process_draws_other_ids_than_its_parent() -> None:
    draw_execution_id(_NOW_MS)  # some are ready now
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, draw_execution_id(_NOW_MS).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 36).decode() != draw_execution_id(_NOW_MS)
    os.close(reading)
    os.close(writing)
