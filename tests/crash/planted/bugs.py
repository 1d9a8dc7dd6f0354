"""Bugs that the tests are to find: each a change of our own source, and the tests that should see it.

They are those named at the end of section 14.2 of the reliability reference, and some of our own. A bug that
this engine cannot have by the way it is made has its nearest relative here, and says so. What plants them is
`python -m tests.crash.planted`.
"""

from __future__ import annotations

from typing import NamedTuple


class Edit(NamedTuple):
    """A text that stands exactly once in a file, and what takes its place."""

    path: str
    old: str
    new: str


class Bug(NamedTuple):
    """One bug.

    Attributes:
        what: in a sentence; where it is only the nearest of the one named, why.
        tests: node ids, or files, that are run over it.
    """

    name: str
    what: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


_TAGS = "tests/crash/test_kill_loop.py::test_nothing_is_lost_doubled_or_stuck[jobs-tag-5]"
_TOKENS = "tests/crash/test_kill_loop.py::test_nothing_is_lost_doubled_or_stuck[jobs-token-4]"
_MIXED = "tests/crash/test_kill_loop.py::test_nothing_is_lost_doubled_or_stuck[mixed-2]"
_TIERS = "tests/integration/test_jobs_tiers.py"
_DURABLE = "tests/integration/test_engine_durability.py"
_STRAYS = "tests/integration/test_jobs_strays.py"
_LAW = "tests/integration/test_jobs_law.py"
_JOURNAL = "tests/contract/test_journal.py"
_WORLDS = "tests/simulation"
_RESOLVING = "asyncflow/runtime/jobs/resolving.py"

BUGS = (
    Bug(
        "intent-after-submit",
        "Effects begin before the commit that holds their intent.",
        (
            Edit(
                "asyncflow/runtime/turns.py",
                "        self._deciding.carrier.close_turn()\n",
                "        self._deciding.carrier.close_turn()\n        self._deciding.carrier.committed()\n",
            ),
        ),
        (_DURABLE,),
    ),
    Bug(
        "intent-not-heeded",
        "What intent after submit comes to: after a crash nobody knows that a job may have been sent.",
        (
            Edit(
                "asyncflow/runtime/jobs/standing.py",
                "        desk.resolving.left_behind(row, job.intent_ms)\n",
                "        desk.submitting.add(row)\n",
            ),
        ),
        (_TIERS, _TAGS, _WORLDS),
    ),
    Bug(
        "no-wait-in-lookup",
        "A job that is not listed counts as absent at once.",
        (Edit(_RESOLVING, "is_late=now_ms >= absent_from_ms", "is_late=True"),),
        (_TIERS, _TAGS, _WORLDS),
    ),
    Bug(
        "no-fence-in-an-update",
        "A turn is written whatever stands before it. There is one engine on a file, so its fence is the "
        "number of the turn: the insert is conditional on it.",
        (
            Edit(
                "asyncflow/store/writing.py",
                "WHERE ? = (SELECT coalesce(max(number), 0) + 1 FROM turn)",
                "WHERE ? > 0",
            ),
        ),
        (_JOURNAL,),
    ),
    Bug(
        "two-engines-on-a-file",
        "The lock of the file is given to everybody: what a fence would be for with several engines.",
        (
            Edit(
                "asyncflow/store/lock.py",
                "    except BlockingIOError:\n        return False\n",
                "    except BlockingIOError:\n        return True\n",
            ),
        ),
        ("tests/store/test_opening.py",),
    ),
    Bug(
        "first-match",
        "Of several jobs with the token the first one listed is kept, and the others go on.",
        (
            Edit(
                _RESOLVING,
                "        found.sort(key=lambda match: (match.created_ms <= 0, match.created_ms))\n",
                "",
            ),
            Edit(_RESOLVING, "        self.second.cancel_others(row, found)\n", ""),
        ),
        (_TIERS, _STRAYS, "tests/integration/test_jobs_resolving.py"),
    ),
    Bug(
        "only-running-matches",
        "A job that has ended counts as absent: finished is taken for not there.",
        (
            Edit(
                _RESOLVING,
                "ours = [match for match in found if not match.mark or match.mark.startswith(job.token)]",
                "ours = [match for match in found if match.is_open and match.mark.startswith(job.token)]",
            ),
        ),
        (_TAGS, "tests/integration/test_jobs_resolving.py"),
    ),
    Bug(
        "join-counted-in-memory",
        "What joins wait for is not there after a restart.",
        (
            Edit(
                "asyncflow/runtime/recovery.py",
                "    touched.left()\n    if state.seq != history[-1].seq:",
                "    touched.left()\n    state.joins = {}\n    if state.seq != history[-1].seq:",
            ),
        ),
        ("tests/crash/test_scenarios_kill.py", _MIXED, _WORLDS),
    ),
    Bug(
        "commit-not-shielded",
        "A commit is three hops, and a caller that is cancelled between them leaves it open.",
        (
            Edit(
                "asyncflow/store/sqlite.py",
                "        await self._commit(partial(writing.append_turn, row=row))\n",
                '        await self._writer.run(lambda db: db.execute("BEGIN IMMEDIATE"))\n'
                "        await self._commit(partial(writing.append_turn, row=row))\n"
                '        await self._writer.run(lambda db: db.execute("COMMIT"))\n',
            ),
            Edit(
                "asyncflow/store/connection.py",
                '    try:\n        db.execute("BEGIN IMMEDIATE")\n',
                "    if db.in_transaction:\n        yield\n        return\n"
                '    try:\n        db.execute("BEGIN IMMEDIATE")\n',
            ),
        ),
        (_JOURNAL,),
    ),
    Bug(
        "page-two-not-read",
        "Of a listing in pages only the first is read.",
        (
            Edit(
                "asyncflow/plugins/aws.py",
                "            if not answer.get(self.marker):\n                return\n",
                "            return\n",
            ),
        ),
        ("plugins/emr/tests",),
    ),
    Bug(
        "sdk-retries",
        "The SDK sends a submit again by itself.",
        (Edit("asyncflow/plugins/aws.py", '"total_max_attempts": 1}', '"total_max_attempts": 3}'),),
        ("plugins/emr/tests",),
    ),
    Bug(
        "token-drawn",
        "Tokens are drawn, so that the next process asks under another one.",
        (
            Edit(
                "asyncflow/ids.py",
                '    text = f"{installation}:{execution_id}:{ref}:{attempt}:{epoch}"\n',
                '    text = f"{installation}:{execution_id}:{ref}:{attempt}:{epoch}:{uuid.uuid4()}"\n',
            ),
        ),
        (_TIERS, _WORLDS),
    ),
    Bug(
        "answered-before-commit",
        "A caller is told of a start that is not durable yet.",
        (
            Edit(
                "asyncflow/runtime/commits.py",
                "            points.reach(points.BEFORE_COMMIT)\n",
                "            turn.release()\n            points.reach(points.BEFORE_COMMIT)\n",
            ),
        ),
        (_DURABLE, _WORLDS),
    ),
    Bug(
        "cancel-forgotten",
        "After a restart a job that is to be cancelled is only watched.",
        (
            Edit(
                "asyncflow/runtime/jobs/standing.py",
                "        if row.is_cancelled:\n            desk.cancelling.ask(row)\n",
                "        if row.is_cancelled and not is_recovered:\n            desk.cancelling.ask(row)\n",
            ),
        ),
        (_TAGS, _TOKENS, "tests/integration/test_jobs_cancel.py"),
    ),
    Bug(
        "keys-in-their-authors-order",
        "Inputs without expressions go out with their keys as the author wrote them, and after a restart as "
        "they were stored: other bytes under the same token.",
        (
            Edit(
                "asyncflow/decide/compile.py",
                "    return constant(in_one_order(known))\n",
                "    return constant(known)\n",
            ),
        ),
        (_WORLDS, _TIERS, "tests/integration/test_constant_inputs.py"),
    ),
)
