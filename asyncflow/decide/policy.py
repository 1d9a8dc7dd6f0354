"""What a policy comes to in numbers: delays before retries, the weight of a failure.

Formulas only, of plain arguments; when a retry is due is decided in `decide/failures`. The
policies themselves are made in `decide/compile`.
"""

from __future__ import annotations

from asyncflow.model.definition import WorkflowTask
from asyncflow.model.graph import Node, Policy

_MAX_DELAY_S = 2**31 - 1


def retry_delay_s(policy: Policy, failed_retry_count: int) -> float:
    """Seconds until the attempt after one with this retry count (0 for the first attempt), without jitter."""
    n = failed_retry_count
    if policy.retry_delays is not None:
        delays = policy.retry_delays
        given = delays[min(n, len(delays) - 1)] if delays else 0
        return min(max(0, given), _MAX_DELAY_S)  # a forked task may bring delays that nobody checked
    if policy.retry_logic == "LINEAR_BACKOFF":
        delay = policy.retry_delay * policy.backoff_scale * (n + 1)
    elif policy.retry_logic == "EXPONENTIAL_BACKOFF":
        delay = policy.retry_delay * 2 ** min(n, 62)
    else:
        delay = policy.retry_delay
    # Conductor overflows a 32-bit number here and takes its maximum; the cap comes after that.
    delay = min(delay, _MAX_DELAY_S)
    return min(delay, policy.max_retry_delay) if policy.max_retry_delay > 0 else delay


def weight_of(node: Node) -> float:
    """What a failure of this task counts: its own weight, else that of its definition, else 1."""
    given = setting(node.task, "weight")
    return float(given) if isinstance(given, int | float) else 1.0


def setting(task: WorkflowTask, name: str) -> object:
    """A field under `asyncflow`: the task's own where it gives one, else its definition's, else None."""
    definition = task.task_definition
    for extension in (task.extension, None if definition is None else definition.extension):
        if extension is not None and name in extension.model_fields_set:
            return getattr(extension, name)
    return None
