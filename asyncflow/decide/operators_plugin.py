"""Task types that are known and not built in: they fail by name, saying which plugin brings them.

A type that nobody knows is a worker's queue, as in Conductor; these are not, because no worker
would ever poll for them. One that a plugin does bring is performed like a function of this process.
"""

from __future__ import annotations

from functools import partial

from asyncflow.decide.flow import fail
from asyncflow.decide.step import Begin, Step
from asyncflow.decide.wanted import LOCAL_EXECUTORS
from asyncflow.model.state import TaskState
from asyncflow.model.statuses import FAILED_TERMINALLY

_PLUGINS = {
    "asyncflow-ai": (
        "LLM_TEXT_COMPLETE",
        "LLM_CHAT_COMPLETE",
        "LLM_GENERATE_EMBEDDINGS",
        "LLM_STORE_EMBEDDINGS",
        "LLM_GET_EMBEDDINGS",
        "LLM_SEARCH_EMBEDDINGS",
        "LLM_INDEX_TEXT",
        "LLM_SEARCH_INDEX",
        "GENERATE_IMAGE",
        "GENERATE_AUDIO",
        "GENERATE_VIDEO",
        "GENERATE_PDF",
        "LIST_MCP_TOOLS",
        "CALL_MCP_TOOL",
        "LIST_API_TOOLS",
        "AGENT",
        "GET_AGENT_CARD",
        "CANCEL_AGENT",
        "PLAN_AND_COMPILE",
    ),
    "asyncflow-kafka": ("KAFKA_PUBLISH",),
    "asyncflow-messages": ("PULL_WORKFLOW_MESSAGES",),
}


def _begin_missing(step: Step, task: TaskState, *, plugin: str) -> None:
    if task.executor in LOCAL_EXECUTORS or task.executor == "job":
        return
    reason = f"task type {task.node.type} is not built in: install the plugin {plugin}"
    fail(step, task, FAILED_TERMINALLY, reason)


BEGINNINGS: dict[str, Begin] = {
    kind: partial(_begin_missing, plugin=plugin) for plugin, kinds in _PLUGINS.items() for kind in kinds
}
