"""A worker of the unmodified Python SDK that does nothing, as fast as the SDK can.

`python -m bench.sdk_worker async|sync`; the SDK reads the address, the worker's id and its threads from
the environment. Nothing of asyncflow may be imported here; `bench/w1_rest.py` starts it.
"""

# No postponed annotations: the SDK takes the inputs by the types of the parameters themselves.

import os
import sys
import threading

from conductor.client.automator.task_handler import TaskHandler
from conductor.client.configuration.configuration import Configuration
from conductor.client.worker.worker_task import worker_task

if sys.argv[-1] == "sync":

    @worker_task(task_definition_name="step")  # type: ignore[untyped-decorator]  # the SDK has no types
    def step() -> dict[str, object]:
        """Do nothing, in one of the SDK's threads."""
        return {}
else:

    @worker_task(task_definition_name="step")  # type: ignore[untyped-decorator]  # the SDK has no types
    async def step() -> dict[str, object]:
        """Do nothing, on the SDK's loop."""
        return {}


if __name__ == "__main__":
    parent, between_looks = os.getppid(), threading.Event()
    with TaskHandler(configuration=Configuration()) as handler:
        handler.start_processes()
        while os.getppid() == parent:  # a sample that is killed leaves no worker behind
            between_looks.wait(1)
