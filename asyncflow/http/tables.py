"""Every route there is, subject by subject: whoever writes a route module adds it here.

The order has no meaning: a literal path always goes before a variable one. A test compares this
list with the OpenAPI document.
"""

from __future__ import annotations

from asyncflow.http import health
from asyncflow.http.routing import Route, Routes

ALL: tuple[Routes, ...] = (health.routes,)


def all_routes() -> list[Route]:
    """All routes, in the order of the list above."""
    return [route for routes in ALL for route in routes]
