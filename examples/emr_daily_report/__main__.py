"""Ten executions share one EMR cluster that nobody had to create, and that nobody has to destroy.

    python examples/emr_daily_report

starts an EMR endpoint and a mail server on this machine, runs the daily reports of ten regions with
asyncflow, and prints what the endpoint really did. With the settings of `plugins/emr/README.md` it is the
same on AWS.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "plugins" / "emr"), str(CHECKOUT / "plugins" / "email")]

from asyncflow_email import EmailManager  # noqa: E402
from asyncflow_emr import EmrManager  # noqa: E402

import asyncflow as af  # noqa: E402
from asyncflow.testing.aws import AwsEndpoint  # noqa: E402
from asyncflow.testing.emr_service import Emr, Timing  # noqa: E402
from asyncflow.testing.mail import MailServer  # noqa: E402

REGIONS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa")
STEPS_AT_ONCE = 4

REPORT = {
    "name": "daily_report",
    "version": 1,
    "schemaVersion": 2,
    "ownerEmail": "reports@example.com",
    "inputParameters": ["region"],
    "tasks": [
        {
            "name": "aggregate", "taskReferenceName": "aggregate", "type": "EMR_STEP",
            "inputParameters": {"args": ["spark-submit", "aggregate.py", "${workflow.input.region}"]},
        },
        {
            "name": "render", "taskReferenceName": "render", "type": "EMR_STEP",
            "inputParameters": {"args": ["spark-submit", "render.py", "${workflow.input.region}"]},
        },
        {
            "name": "tell", "taskReferenceName": "tell", "type": "EMAIL",
            "inputParameters": {
                "to": ["${workflow.input.region}@example.org"],
                "subject": "Report of ${workflow.input.region}",
                "text": "Made by step ${render.output.step} on cluster ${render.output.cluster}.",
            },
        },
    ],
    "outputParameters": {"cluster": "${render.output.cluster}"},
}  # fmt: skip


def now_ms() -> int:
    """The time of the endpoint."""
    return time.time_ns() // 1_000_000


def resources(aws: AwsEndpoint, mail: MailServer) -> list[af.Resource]:
    """What the configuration file would say."""
    here = {"endpoint_url": aws.url, "region": "eu-central-1", "access_key": "x", "secret_key": "x"}
    server = {"host": "127.0.0.1", "port": mail.port, "sender": "reports@example.com"}
    return [
        af.Resource(
            "emr", type="emr", max_concurrent=STEPS_AT_ONCE, step_concurrency=STEPS_AT_ONCE,
            instances={"min": 0, "max": 1}, idle_after="2s", poll={"first": "1s", "max": "2s"}, **here,
        ),
        af.Resource("mail", type="email", max_concurrent=2, **server),
    ]  # fmt: skip


async def main() -> int:
    emr, began_ms = Emr(now_ms, timing=Timing(boot=2.0, step=0.5, stop=0.5)), now_ms()
    async with AwsEndpoint(emr) as aws, MailServer(now_ms) as mail:
        plugins = {"emr": EmrManager, "email": EmailManager}
        async with af.Engine(plugins=plugins, resources=resources(aws, mail)) as engine:
            runs = [await engine.start(REPORT, {"region": region}) for region in REGIONS]
            await asyncio.gather(*(run.result() for run in runs))
            print(f"{len(runs)} executions completed; {len(mail.mails)} mails sent")
            while any(not each.state.startswith("TERMINAT") for each in emr.clusters.values()):
                await asyncio.sleep(0.2)
    return told(emr, aws, minutes=(now_ms() - began_ms) / 60_000)


def told(emr: Emr, aws: AwsEndpoint, *, minutes: float) -> int:
    """What really happened, from the endpoint's own notes; 1 if it is not what was promised."""
    did = [each.what for each in emr.truth]
    made, ended, steps = (did.count(each) for each in ("RunJobFlow", "TerminateJobFlows", "AddJobFlowSteps"))
    most = max(each.most_running for each in emr.clusters.values())
    print(f"{made} cluster created, {steps} steps, never more than {most} at once, {ended} cluster destroyed")
    calls = aws.faults.calls
    looks = calls["ListSteps"] + calls["DescribeCluster"]
    print("requests:", ", ".join(f"{name} {count}" for name, count in sorted(calls.items())))
    print(f"{looks / minutes:.0f} of them a minute to look how things stand, however many steps wait")
    is_shared = (made, ended, steps) == (1, 1, 2 * len(REGIONS)) and most <= STEPS_AT_ONCE
    return 0 if is_shared and looks / minutes < 3 * 60 else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
