"""Measurements for Prometheus, and how much data tasks of a type take in and give out.

What is measured is in `app/meters`; the names are listed in docs/metrics.md.
"""

from __future__ import annotations

from asyncflow.app.exposition import CONTENT_TYPE
from asyncflow.errors import NotFound
from asyncflow.http.routing import (
    VIEWER,
    Call,
    Reply,
    Routes,
    json_answer,
    reply_json,
    reply_text,
    text_answer,
)

routes = Routes("Metrics")


@routes.get("/metrics", role=VIEWER, answers=text_answer("Prometheus' text format, 0.0.4."))
@routes.get("/actuator/prometheus", role=VIEWER, answers=text_answer("The same."))
async def get_metrics(call: Call) -> Reply:
    """Everything that is measured, in Prometheus' text format."""
    return reply_text(call.services.meters.text(), content_type=CONTENT_TYPE)


@routes.get("/api/asyncflow/tasks/{name}/volume", role=VIEWER, answers=json_answer(), errors=(404,))
async def get_volume(call: Call) -> Reply:
    """How much data tasks of a type took in and gave out since the start: mean, deviation, last.

    What one task of a workflow did, run by run, is at `/api/asyncflow/io/{workflow}/{ref}`.
    """
    name = call.path["name"]
    tally = call.services.meters.tallies.types.get(name)
    if tally is None:
        raise NotFound("task type that ended since the start", name)
    shown: dict[str, object] = {"taskType": name}
    for direction, volume in tally.volumes.items():
        shown[direction] = {
            "tasks": volume.count,
            "bytes": volume.total,
            "mean": volume.mean,
            "deviation": volume.deviation,
            "last": volume.last,
            "recordedBytes": tally.io_bytes[direction],
            "recordedRows": tally.io_rows[direction],
        }
    return reply_json(shown)
