"""The log of `serve`: one line per event, what it is about, nothing forged, no secrets, never too much."""

from __future__ import annotations

import io
import json
import logging
import signal
import urllib.request
from pathlib import Path

import pytest

from asyncflow.app.log_lines import escaped
from asyncflow.app.logging_setup import ALIKE, ALTOGETHER, WINDOW_S, LogOutlet, LogSettings, Repetition
from asyncflow.runtime.log_context import Subject, subject
from tests.http.test_processes import serve

log = logging.getLogger("asyncflow.test")


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_tells_what_it_is_about() -> None:
    stream = io.StringIO()
    with LogOutlet(stream, LogSettings("json")):
        token = subject.set(Subject("e1", "pack", 2, "thread"))
        log.warning("%d left", 3, extra={"turn": 7, "level": "forged"})
        subject.reset(token)
        log.debug("not shown")

    [line] = lines_of(stream)
    assert str(line.pop("time")).endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "asyncflow.test",
        "message": "3 left",
        "execution": "e1",
        "task": "pack",
        "attempt": 2,
        "worker": "thread",
        "turn": 7,
    }


@pytest.mark.parametrize("form", ["console", "json"])
def test_nobody_forges_a_line(form: str) -> None:
    stream = io.StringIO()
    with LogOutlet(stream, LogSettings(form)):  # type: ignore[arg-type]  # one of the two
        log.error("a\nERROR asyncflow: b\r\x1b[31m\x85\u2028\u202ec", extra={"who": "x\ny"})

    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.rstrip("\n").isprintable()


def test_lines_for_people_are_escaped_and_tell_facts() -> None:
    stream = io.StringIO()
    with LogOutlet(stream):
        log.error("a\nb", extra={"who": "x y", "turn": 7})
    assert stream.getvalue().endswith('ERROR    asyncflow.test: a\\nb who="x y" turn=7\n')
    assert escaped("plain é") == "plain é"
    assert escaped("\x1b") == "\\x1b"


def test_a_stack_is_set_off_from_lines() -> None:
    stream = io.StringIO()
    with LogOutlet(stream):
        try:
            raise ValueError("first\n2026-01-01 ERROR asyncflow: forged")
        except ValueError:
            log.exception("broke")
    first, *stack = stream.getvalue().splitlines()
    assert first.endswith("broke")
    assert stack
    assert all(line.startswith("    | ") for line in stack)


@pytest.mark.parametrize("form", ["console", "json"])
def test_secrets_are_never_told(form: str) -> None:
    stream = io.StringIO()
    with LogOutlet(stream, LogSettings(form)) as outlet:  # type: ignore[arg-type]  # one of the two
        outlet.hide({"password": 'tip "top" hush'})
        try:
            raise ValueError('of tip "top" hush')
        except ValueError:
            log.exception('with tip "top" hush', extra={"given": {"deep": ['tip "top" hush']}})
    assert "hush" not in stream.getvalue()
    assert (
        stream.getvalue().count("***") == 4
    )  # message, fact, and a line of the source and the error in the stack


def logged(message: str, *args: object, at_s: float = 1_000.0) -> logging.LogRecord:
    facts = {"name": "asyncflow.test", "levelno": 40, "levelname": "ERROR", "msg": message, "args": args}
    return logging.makeLogRecord({**facts, "created": at_s})


def test_r118_repetition_is_bounded_and_told() -> None:
    stream = io.StringIO()
    with LogOutlet(stream, LogSettings("json")) as outlet:
        for number in range(100_000):
            outlet.handle(logged("request %d failed", number))
        outlet.handle(logged("something else"))
        outlet.handle(logged("after", at_s=1_000 + WINDOW_S))

    messages = [line["message"] for line in lines_of(stream)]
    assert messages[:ALIKE] == [f"request {number} failed" for number in range(ALIKE)]
    told = f"{100_000 - ALIKE} more lines like this were left out: asyncflow.test: request %d failed"
    assert messages[ALIKE:] == ["something else", told, "after"]


def test_r118_statements_without_end_are_bounded_too() -> None:
    repetition = Repetition()
    for name in ("asyncflow.test", "asyncflow.tasks"):
        records = (
            logging.makeLogRecord({"name": name, "levelno": 20, "msg": f"line {number}"})
            for number in range(10_000)
        )
        assert 0 < sum(map(repetition.passes, records)) <= ALTOGETHER


def test_lines_of_authors_are_not_counted_by_statement() -> None:
    repetition = Repetition()
    record = logging.makeLogRecord({"name": "asyncflow.tasks", "levelno": 20, "msg": "%s"})
    assert [repetition.passes(record) for _ in range(ALIKE * 2)] == [True] * (ALIKE * 2)


class Broken(io.StringIO):
    """A stream that takes nothing: the disk is full, or the reader has gone."""

    def write(self, _text: str) -> int:
        raise OSError("no space")


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    with LogOutlet(Broken()) as outlet:
        log.error("lost")
    assert outlet.lost == 1


def test_everything_is_left_as_it_was() -> None:
    root = logging.getLogger()
    before = (root.level, [*root.handlers], logging.getLogger("aiohttp").level)
    with LogOutlet(io.StringIO(), LogSettings(level="debug")):
        assert root.level == logging.DEBUG
    assert (root.level, [*root.handlers], logging.getLogger("aiohttp").level) == before


def test_serve_logs_json_with_execution_task_and_attempt(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(
        "import logging\n"
        "import asyncflow as af\n"
        "@af.task\n"
        "def speak(ctx: af.TaskContext) -> None:\n"
        '    logging.getLogger("mine").info("from a thread")\n'
        "with af.Workflow('talk', version=1) as talk:\n"
        "    talk >> speak.node('speak')\n"
    )
    with serve(tmp_path, "--load", "tasks.py", "--log-format", "json") as (process, url):
        request = urllib.request.Request(
            f"{url}/api/workflow/execute/talk/1?waitForSeconds=30",
            b"{}",
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            workflow_id = json.load(answer)["workflowId"]
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)

    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    [line] = [line for line in lines if line["logger"] == "mine"]
    assert (line["message"], line["execution"], line["task"]) == ("from a thread", workflow_id, "speak")
    assert (line["attempt"], line["worker"]) == (1, "thread")
