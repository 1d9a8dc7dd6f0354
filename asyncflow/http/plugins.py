"""Routes that show plugins: what is installed, what is broken and why, and the schemas of what it takes.

They change nothing: plugins come with the installation. What is shown is made in `app/plugin_catalogue`.
"""

from __future__ import annotations

from asyncflow.http.routing import VIEWER, Call, Reply, Routes, json_answer, reply_json
from asyncflow.http.schemas import MAP, NUMBER, TEXT, listed, one_of, ref, shape

_KINDS = ("resource", "task", "listener")
_PLUGIN = {
    "kind": one_of(*_KINDS),
    "name": TEXT,
    "state": one_of("ready", "failed", "disabled"),
    "reason": TEXT,
    "distribution": TEXT,
    "version": TEXT,
    "target": TEXT,
    "contract": NUMBER,
    "taskTypes": listed(TEXT),
    "about": TEXT,
}

routes = Routes(
    "Plugins",
    schemas={
        "Plugin": shape({**_PLUGIN, "config": MAP, "inputs": MAP}, "kind", "name", "state"),
        "Plugins": shape({"plugins": listed(ref("Plugin"))}, "plugins"),
        "PluginTaskType": shape(
            {"name": TEXT, "kind": one_of("resource", "task"), "plugin": TEXT, "input": MAP}, "name", "input"
        ),
    },
)


@routes.get("/api/asyncflow/plugins", role=VIEWER, answers=json_answer("Plugins"))
async def get_plugins(call: Call) -> Reply:
    """Every plugin that was found: what it brings, and why it cannot be used if it cannot."""
    return reply_json({"plugins": call.services.plugins.all()})


@routes.get("/api/asyncflow/plugins/{kind}/{name}", role=VIEWER, answers=json_answer("Plugin"), errors=(404,))
async def get_plugin(call: Call) -> Reply:
    """A plugin, with the JSON schemas of its settings and of the inputs of its types of task."""
    return reply_json(call.services.plugins.get(call.path["kind"], call.path["name"]))


@routes.get(
    "/api/asyncflow/taskTypes/{name}", role=VIEWER, answers=json_answer("PluginTaskType"), errors=(404,)
)
async def get_task_type(call: Call) -> Reply:
    """A type of task that a plugin brings, with the JSON schema of its input."""
    return reply_json(call.services.plugins.task_type(call.path["name"]))
