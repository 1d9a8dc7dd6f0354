"""The comparison with peers: a script of its own tells a sample, and one that fails or hangs ends nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.peers import run
from bench.peers.run import Comparison, Peer

TELLS = 'import json, sys; print("noise"); print(json.dumps({"steps": int(sys.argv[-1]), "seconds": 4}))'


def peer(folder: Path, code: str) -> Peer:
    """A peer whose script is this code, in an environment that is this one."""
    binaries = folder / "fake" / "venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    script = folder / "script.py"
    script.write_text(code, encoding="utf-8")
    return Peer("fake", str(script), {run.FAN: 200})


def test_sample_is_what_the_script_tells_last(tmp_path: Path) -> None:
    assert run.sample(peer(tmp_path, TELLS), tmp_path, run.FAN, limit_s=60) == 50


def test_sample_that_fails_says_what_the_script_said(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no server is there"):
        run.sample(peer(tmp_path, 'raise SystemExit("no server is there")'), tmp_path, run.FAN, limit_s=60)


def test_sample_that_hangs_is_ended(tmp_path: Path) -> None:
    hangs = "import threading; threading.Event().wait()"

    with pytest.raises(RuntimeError, match="not done within"):
        run.sample(peer(tmp_path, hangs), tmp_path, run.FAN, limit_s=0.1)


def test_peer_that_failed_is_told_and_leaves_the_others_alone(tmp_path: Path) -> None:
    broken = peer(tmp_path, "1 / 0")
    comparison = Comparison([broken], tmp_path, 60, {}, {})

    comparison.take(broken, run.FAN)

    assert comparison.rates == {}
    assert "ZeroDivisionError" in comparison.failures["fake", run.FAN]
    assert comparison.is_to_be_tried(broken, run.FAN) is False


def test_only_workloads_of_the_chosen_peers_are_measured(tmp_path: Path) -> None:
    chosen = [Peer("a", "", {run.LIMIT: 1}), Peer("b", "", {run.CHAINS: 1, run.LIMIT: 1})]

    assert list(Comparison(chosen, tmp_path, 60, {}, {}).workloads()) == [run.CHAINS, run.LIMIT]


def test_rows_say_how_many_times_as_fast_asyncflow_is() -> None:
    rows = run.as_rows({run.FAN: {"asyncflow": [90, 100, 110], "a": [5]}}, [Peer("a", "", {run.FAN: 7})])

    assert [(row["engine"], row["median"], row["ratio"]) for row in rows] == [
        ("asyncflow", 100, 1),
        ("a", 5, 20),
    ]
