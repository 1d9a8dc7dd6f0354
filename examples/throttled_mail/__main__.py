"""Twenty executions send a mail each, and no more than five a second are let begin, over all of them.

    python examples/throttled_mail

starts a mail server on this machine, which refuses one mail for now and one for good, runs the workflows
with asyncflow, and prints what the server really got, and when the journal says that each sending began.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "plugins" / "email")]

from asyncflow_email import EmailManager  # noqa: E402

import asyncflow as af  # noqa: E402
from asyncflow.model.events import AttemptStarted  # noqa: E402
from asyncflow.testing.mail import MailServer  # noqa: E402

MAILS = 20
MOST = 5

NOTICE = {
    "name": "notice",
    "version": 1,
    "schemaVersion": 2,
    "ownerEmail": "notices@example.com",
    "inputParameters": ["to"],
    "tasks": [
        {
            "name": "tell", "taskReferenceName": "tell", "type": "EMAIL",
            "inputParameters": {"to": ["${workflow.input.to}"], "subject": "Notice", "text": "It is done."},
            "taskDefinition": {"name": "tell", "retryCount": 2, "retryDelaySeconds": 1},
        }
    ],
    "outputParameters": {"message": "${tell.output.messageId}"},
}  # fmt: skip


def now_ms() -> int:
    """The time of the server."""
    return time.time_ns() // 1_000_000


async def main() -> int:
    async with MailServer(now_ms) as mail:
        mail.fail("submit", "broken", skip=7)  # 451: the retries of the task help
        mail.fail("submit", "refused", skip=5)  # 550: nothing helps
        server = af.Resource(
            "mail", type="email", max_concurrent=8, rate=f"{MOST}/1s", poll={"first": "100ms", "max": "1s"},
            host="127.0.0.1", port=mail.port, sender="notices@example.com",
        )  # fmt: skip
        async with af.Engine(plugins={"email": EmailManager}, resources=[server]) as engine:
            runs = [await engine.start(NOTICE, {"to": f"user{n}@example.org"}) for n in range(MAILS)]
            ended = await asyncio.gather(*(run.result() for run in runs), return_exceptions=True)
            began = [at_ms for run in runs for at_ms in await starts(run)]
    failed = [each for each in ended if isinstance(each, BaseException)]
    print(f"{MAILS - len(failed)} executions completed, {len(failed)} failed: {failed}")
    return told(mail, sorted(began), refused=len(failed))


async def starts(run: af.Execution) -> list[int]:
    """When an execution began to send, again for a retry; from the journal."""
    return [each.at_ms async for each in run.events() if isinstance(each.event, AttemptStarted)]


def told(mail: MailServer, began: list[int], *, refused: int) -> int:
    """What the server got; 1 if more began than may in all that time, or one mail came twice.

    A start is let through first and recorded some milliseconds later, so on a busy machine a second of the
    journal may show one of the next; over the whole time nothing is gained by that.
    """
    times = sorted(each.at_ms for each in mail.mails)
    seconds = (times[-1] - times[0]) / 1000
    ids = {str(each.content["Message-ID"]) for each in mail.mails}
    most = max(sum(first <= each < first + 1000 for each in began) for first in began)
    doubled = len(times) - len(ids)
    print(f"{len(times)} mails on {mail.connections} connections in {seconds:.1f} s, {doubled} sent twice")
    print(f"{len(began)} sendings began, {most} in the busiest second; {MOST} may")
    is_whole = doubled == 0 and len(times) == MAILS - refused and refused == 1
    is_slow = len(began) <= MOST * ((began[-1] - began[0]) / 1000 + 1) + 1
    return 0 if is_whole and is_slow and len(began) == MAILS + 1 else 1  # one was tried again


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
