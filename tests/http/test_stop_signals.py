"""What a second and a third signal do to a server that stops, and what ends one that does not end."""

from __future__ import annotations

import signal
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.cli.making import begin, wait_for_line
from tests.http.test_processes import HANGING, fetch, serve

LOOPS = {
    "async": "await asyncio.Event().wait()",
    "held": "import time\n    while True: time.sleep(0.01)",
    "foreign": "import re\n    while True: re.match('(a+)+$', 'a' * 40 + 'b')",
}


def _left(folder: Path, way: str) -> None:
    """Leave a database whose next engine takes up an attempt that hangs in this way."""
    (folder / "hanging.py").write_text(HANGING.replace("await asyncio.Event().wait()", LOOPS[way]))
    with begin("run", "hanging.py", "--db", "asyncflow.db", cwd=folder) as process:
        wait_for_line(process, "hanging")
        process.kill()
        process.communicate()


@pytest.mark.scenario("R4")
def test_a_second_signal_waits_for_nothing(tmp_path: Path) -> None:
    _left(tmp_path, "async")
    limit = {"ASYNCFLOW_SERVER_DRAIN_TIMEOUT_S": "600"}
    with serve(tmp_path, "--load", "hanging.py", **limit) as (process, url):
        wait_for_line(process, "hanging")
        process.terminate()
        wait_for_line(process, "once more to stop without waiting")
        with pytest.raises(HTTPError) as answer:
            fetch(f"{url}/ready")
        process.terminate()
        _, err = process.communicate(timeout=60)
    answer.value.close()
    with serve(tmp_path) as (again, url):
        state = fetch(f"{url}/health")
        again.terminate()
        again.communicate(timeout=60)

    assert answer.value.code == 503
    assert process.returncode == 130
    assert "did not end within" not in err, "the ten minutes were not waited for"
    assert isinstance(state, dict)
    assert again.returncode == 0


@pytest.mark.scenario("R5")
def test_a_third_signal_ends_a_process_whose_loop_is_held(tmp_path: Path) -> None:
    """No loop is needed: the handler itself ends the process."""
    _left(tmp_path, "held")
    with begin("serve", "--port", "0", "--load", "hanging.py", cwd=tmp_path) as process:
        wait_for_line(process, "hanging")
        for _ in range(3):
            process.terminate()
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Traceback" not in err


@pytest.mark.scenario("R5")
@pytest.mark.parametrize(("way", "code"), [("held", 130), ("foreign", 1)])
def test_a_stop_of_a_held_loop_ends_with_a_stack(tmp_path: Path, way: str, code: int) -> None:
    """The thread ends the process; where foreign code lets no thread run, the interpreter's own does."""
    _left(tmp_path, way)
    limit = {"ASYNCFLOW_SERVER_DRAIN_TIMEOUT_S": "0.1"}
    with begin("serve", "--port", "0", "--load", "hanging.py", cwd=tmp_path, env=limit) as process:
        wait_for_line(process, "hanging")
        process.terminate()
        _, err = process.communicate(timeout=60)

    assert process.returncode == code, err
    assert 'hanging.py", line' in err, "it says where it hangs"


def test_a_command_that_hangs_is_ended_too(tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text(HANGING.replace("await asyncio.Event().wait()", LOOPS["held"]))
    with begin("run", "hanging.py", "--db", "asyncflow.db", cwd=tmp_path) as process:
        wait_for_line(process, "hanging")
        process.terminate()
        _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "the event loop is held" in err
