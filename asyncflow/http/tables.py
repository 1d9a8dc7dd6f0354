"""Every route there is, subject by subject: whoever writes a route module adds it to `ALL`.

The order has no meaning for matching: a literal path always goes before a variable one. The OpenAPI
document is made of this list.
"""

from __future__ import annotations

from asyncflow.http import (
    admin,
    audit,
    auth,
    bulk,
    bulk_start,
    events,
    health,
    listeners,
    logs,
    metadata,
    metrics,
    overview,
    plugins,
    quarantine,
    reruns,
    resources,
    scheduler,
    streams,
    task_queues,
    task_updates,
    tasks,
    versions,
    volumes,
    workflow,
    workflow_operations,
    workflow_search,
)
from asyncflow.http.openapi import documentation
from asyncflow.http.routing import Route, Routes

ALL: tuple[Routes, ...] = (
    health.routes,
    metadata.routes,
    workflow.routes,
    workflow_operations.routes,
    workflow_search.routes,
    bulk.routes,
    bulk_start.routes,
    tasks.routes,
    task_updates.routes,
    task_queues.routes,
    admin.routes,
    scheduler.routes,
    events.routes,
    auth.routes,
    audit.routes,
    metrics.routes,
    overview.routes,
    quarantine.routes,
    streams.routes,
    versions.routes,
    reruns.routes,
    plugins.routes,
    listeners.routes,
    volumes.routes,
    resources.routes,
    logs.routes,
)  # fmt: skip


def all_subjects() -> tuple[Routes, ...]:
    """All subjects, with the routes that document them."""
    return (*ALL, documentation(ALL))


def all_routes() -> list[Route]:
    """All routes, in the order of the list above."""
    return [route for routes in all_subjects() for route in routes]
