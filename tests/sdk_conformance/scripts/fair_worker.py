"""A worker that says who it is; its name and its threads come from the SDK's own environment variables."""

# No postponed annotations: the SDK takes the inputs by the types of the parameters themselves.

import os

from conductor.client.worker.worker_task import worker_task

from tests.sdk_conformance.scripts.session import until, workers


@worker_task(task_definition_name="share")
def share() -> dict[str, object]:
    """A task that takes no time, so that who has done one is as free as before."""
    return {"worker": os.environ["CONDUCTOR_WORKER_WORKER_ID"]}


if __name__ == "__main__":
    parent = os.getppid()
    with workers():
        until(lambda: os.getppid() != parent, 3_600)
