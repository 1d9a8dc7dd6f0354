"""Measurements for Prometheus.

What is measured is in `app/meters`; the names are listed in docs/metrics.md.
"""

from __future__ import annotations

from asyncflow.app.exposition import CONTENT_TYPE
from asyncflow.http.routing import VIEWER, Call, Reply, Routes, reply_text, text_answer

routes = Routes("Metrics")


@routes.get("/metrics", role=VIEWER, answers=text_answer("Prometheus' text format, 0.0.4."))
@routes.get("/actuator/prometheus", role=VIEWER, answers=text_answer("The same."))
async def get_metrics(call: Call) -> Reply:
    """Everything that is measured, in Prometheus' text format."""
    return reply_text(call.services.meters.text(), content_type=CONTENT_TYPE)
