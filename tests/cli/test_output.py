"""Results on stdout arrive whole, whatever takes them."""

from __future__ import annotations

import io
import json
import sys

import pytest

from asyncflow.cli.output import write_json


class Morsels(io.RawIOBase):
    """A file that takes at most 1,000 bytes at a time, as an unbuffered pipe may."""

    def __init__(self) -> None:
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        taken = bytes(data)[:1_000]  # type: ignore[call-overload]
        self.taken += taken
        return len(taken)


def test_unbuffered_output_arrives_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    morsels = Morsels()
    stdout = io.TextIOWrapper(morsels, write_through=True)  # type: ignore[type-var]  # what -u makes of stdout
    monkeypatch.setattr(sys, "stdout", stdout)

    write_json({"text": "x" * 100_000})

    assert json.loads(morsels.taken) == {"text": "x" * 100_000}
