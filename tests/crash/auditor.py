"""The oracle of the kill loop: what is left of a chain against logs, service, and a run without kills.

It asks for I1 to I11 of the reliability reference, as far as one engine can break them, and tells what it
finds in words, each behind `lost`, `doubled`, `stuck` or `wrong`. What is asked of jobs is in `job_audit`,
what an execution came to is in `histories`.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from asyncflow.model import events as ev
from asyncflow.model.turn import Recorded
from asyncflow.runtime.rebuild import rebuild_views
from asyncflow.store.records import ExecutionRow, Page
from asyncflow.store.sqlite import SqliteStore
from tests.crash.cluster_audit import judge_clusters
from tests.crash.histories import Histories, judge_history, shape_of
from tests.crash.job_audit import Outside, judge_attempt, read_attempts, read_truth
from tests.crash.life import CANARY, PERIOD_S, Chain
from tests.crash.loads import is_cancelled
from tests.crash.shared_log import lines_of

FAULTS = ("lost", "doubled", "stuck", "wrong")
_BUGS = ("Traceback", "was destroyed", "never retrieved", "never awaited")
"""What a process says when something of ours broke; that a service is slow is said, too, and is none."""

_ALL = Page(limit=-1, order=(("execution_id", False),))
_IN_ORDER = Page(limit=-1, order=(("execution_id", False), ("number", False)))


@dataclass
class Audited:
    """What was counted, and every promise that was broken.

    Attributes:
        seconds: for all kills and the last life.
    """

    load: str
    seed: int = 0
    seconds: float = 0.0
    killed: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def faults(self) -> Counter[str]:
        """How many there are of each kind."""
        return Counter(each.partition(":")[0] for each in self.broken)

    def line(self) -> str:
        """All of it in a line."""
        counts = " ".join(f"{name}={count}" for name, count in sorted(self.counts.items()))
        faults, kills = self.faults(), self.killed.total()
        verdict = "/".join(str(faults[kind]) for kind in FAULTS)
        return (
            f"load={self.load} seed={self.seed} kills={kills} {self.seconds:.0f}s {counts} faults={verdict}"
        )


Outcome = tuple[str, object, object]
"""How an execution ended, with what output, and in what shape; see `shape_of`."""


async def outcomes_of(chain: Chain) -> dict[int, Outcome]:
    """What a run came to, by the number of the execution: what another is to equal that was killed."""
    async with SqliteStore.open(chain.database) as store:
        rows = await store.list_executions((), _ALL)
        return _outcomes(chain, await store.read_streams([row.execution_id for row in rows]))


def _outcomes(chain: Chain, histories: Histories) -> dict[int, Outcome]:
    ended = {
        int(words[0]): (words[1], _without_ids(json.loads(words[2])))
        for words in lines_of(chain.log, "output")
    }
    streams = {int(words[0]): words[2] for words in lines_of(chain.log, "ack")}
    return {
        index: (*ended[index], shape_of(streams[index], histories))
        for index in ended
        if streams.get(index) in histories
    }


def _without_ids(value: object) -> object:
    """An output without what no two runs have in common."""
    if isinstance(value, dict):
        return {key: _without_ids(each) for key, each in value.items() if key != "subWorkflowId"}
    return [_without_ids(each) for each in value] if isinstance(value, list) else value


async def audit(chain: Chain, expected: Mapping[int, Outcome], found: Audited) -> Audited:
    """Compare everything that is left of a chain; `expected` is what came of a run without kills."""
    async with SqliteStore.open(chain.database) as store:
        found.broken += [f"wrong: {fault}" for fault in await store.find_faults()]
        installation = (await store.facts()).installation_id
        rows = await store.list_executions((), _ALL)
        histories = await store.read_streams([row.execution_id for row in rows])
        found.broken += await _judge_views(store)
    found.broken += _judge_logs(chain, histories)
    found.broken += _judge_outcomes(chain, expected, _outcomes(chain, histories))
    by_token: dict[str, list[Outside]] = {}
    text = chain.truth.read_text(encoding="utf-8") if chain.truth.exists() else ""
    truth = read_truth(text)
    found.broken += judge_clusters(text)
    found.counts["clusters"] = text.count('"created"')
    for job in truth.values():
        by_token.setdefault(job.token, []).append(job)
    for row in rows:  # also those whose acknowledgement went with a process
        _judge_execution(found, row, histories[row.execution_id], by_token, installation)
    found.broken += [f"wrong: job {job.handle} has no attempt" for jobs in by_token.values() for job in jobs]
    found.broken += _judge_ticks(rows, histories)
    found.broken += _judge_calls(chain)
    found.broken += _judge_file(chain, histories)
    found.counts.update(executions=len(rows), jobs=len(truth), decided=len(lines_of(chain.log, "decided")))
    return found


def _judge_execution(
    found: Audited,
    row: ExecutionRow,
    history: Sequence[Recorded],
    by_token: dict[str, list[Outside]],
    installation: str,
) -> None:
    may_end = {"COMPLETED", "TERMINATED"} if is_cancelled(row.name) else {"COMPLETED"}
    found.broken += [f"{fault} ({row.name} {row.execution_id})" for fault in judge_history(history, may_end)]
    for attempt in read_attempts(installation, row.execution_id, history):
        jobs = by_token.pop(attempt.token, [])
        found.counts["attempts"] += 1
        found.counts["second_jobs"] += max(0, len(jobs) - 1)
        found.counts["sent_again"] += attempt.sent_again
        found.counts.update({f"end_{word}": 1 for word in attempt.words})
        found.broken += judge_attempt(attempt, jobs, lives=found.killed.total() + 1)


def _judge_logs(chain: Chain, histories: Histories) -> list[str]:
    """I1, I7: what was acknowledged is there and has ended; nothing is held that nobody uses."""
    acknowledged = {stream for _, _, stream in lines_of(chain.log, "ack")}
    wrong = [f"lost: {gone} was acknowledged" for gone in sorted(acknowledged - {*histories})]
    wrong += [f"stuck: {' '.join(words)}" for words in lines_of(chain.log, "stuck")]
    wrong += [f"stuck: {' '.join(words)} is held" for words in lines_of(chain.log, "held")]
    return wrong + [f"stuck: {' '.join(words)} wants something" for words in lines_of(chain.log, "wanted")]


def _judge_outcomes(chain: Chain, expected: Mapping[int, Outcome], came: Mapping[int, Outcome]) -> list[str]:
    """I5, I6: outputs, and every join, timer, iteration, retry and child, as if nothing had been killed."""
    wrong = []
    for index, outcome in expected.items():
        kind = chain.kind(index)
        if index not in came:
            wrong.append(f"lost: the end of {kind} {index}")
        elif not is_cancelled(kind):
            for name, wanted, found in zip(("status", "output", "shape"), outcome, came[index], strict=True):
                if wanted != found:
                    wrong.append(f"wrong: {name} of {kind} {index}: {found} instead of {wanted}")
    return wrong


def _judge_ticks(rows: Sequence[ExecutionRow], histories: Histories) -> list[str]:
    """I5: each time of the schedule started one execution, and none was passed over."""
    starts = [histories[row.execution_id][0].event for row in rows if row.name == "tick"]
    times = sorted(
        int(str(each.input["_scheduledTime"])) // 1000
        for each in starts
        if isinstance(each, ev.ExecutionStarted) and each.input
    )
    wrong = [f"doubled: the time {time}" for time, count in Counter(times).items() if count > 1]
    if times and [*range(times[0], times[-1] + 1, PERIOD_S)] != sorted({*times}):
        wrong.append(f"lost: a time of the schedule: {times}")
    return wrong


def _judge_calls(chain: Chain) -> list[str]:
    """No function is called once the end of its record is durable; no call has two records."""
    ended: set[tuple[str, ...]] = set()
    wrong = []
    for line in chain.log.read_text(encoding="utf-8").splitlines():
        kind, *words = line.split()
        if kind == "end":
            ended.add((*words,))
        elif kind == "call" and (*words,) in ended:
            wrong.append(f"doubled: call of {words}")
    return wrong


def _judge_file(chain: Chain, histories: Histories) -> list[str]:
    """I9 to I11: the file is sound, no process complained, and the secret is nowhere."""
    with closing(sqlite3.connect(chain.database)) as db:
        (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
    wrong = [] if verdict == "ok" else [f"wrong: integrity: {verdict}"]
    complaints = chain.errors.read_text(encoding="utf-8") if chain.errors.exists() else ""
    wrong += [f"wrong: {line}" for line in complaints.splitlines() if any(word in line for word in _BUGS)]
    stored = chain.database.read_bytes() + complaints.encode() + repr(histories).encode()
    return [*wrong, "wrong: the secret is stored"] if CANARY.encode() in stored else wrong


async def _judge_views(store: SqliteStore) -> list[str]:
    """The views say what the journal says."""
    kept = (await store.list_executions((), _ALL), await store.list_tasks((), _IN_ORDER))
    await rebuild_views(store)
    made = (await store.list_executions((), _ALL), await store.list_tasks((), _IN_ORDER))
    return [] if kept == made else ["wrong: the views differ from a rebuild"]
