"""The OpenAPI document: complete, resolvable, and nothing that no route said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import cast

import pytest

from asyncflow.http.openapi import document
from asyncflow.http.routing import OPEN, Route
from asyncflow.http.tables import all_routes, all_subjects
from asyncflow.model.values import JsonObject
from tests.http.conftest import Server

EXEMPT = {
    "/api/asyncflow/callback/{token}/{proof}",  # the proof is the credential
    "/ready",
    "/health",
    "/api/health",
    "/actuator/health",
    "/api/version",
    "/api-docs",
    "/api/asyncflow/openapi.json",
    "/api/token",
}
"""Exact paths that answer without credentials; a route that joins them has to be added here."""


def _document() -> JsonObject:
    return cast("JsonObject", json.loads(json.dumps(document(all_subjects()))))


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _operation(found: JsonObject, route: Route) -> JsonObject:
    paths = cast("dict[str, dict[str, JsonObject]]", found["paths"])
    return paths[re.sub(r"\*\}", "}", route.path)][route.method.lower()]


def test_every_reference_leads_somewhere() -> None:
    found = _document()
    for reference in set(_references(found)):
        place: object = found
        for part in reference.removeprefix("#/").split("/"):
            assert isinstance(place, dict)
            assert part in place, reference
            place = place[part]


def test_every_route_is_there_with_all_its_statuses() -> None:
    found = _document()
    for route in all_routes():
        if not route.hidden:
            responses = cast("JsonObject", _operation(found, route)["responses"])
            assert set(responses) == {str(status) for status in route.statuses}


def test_operations_have_names_and_summaries_of_their_own() -> None:
    paths = cast("dict[str, dict[str, JsonObject]]", _document()["paths"])
    operations = [operation for methods in paths.values() for operation in methods.values()]
    names = [operation["operationId"] for operation in operations]

    assert len(names) == len(set(names))
    assert all(operation["summary"] for operation in operations)


def test_only_exact_paths_are_open() -> None:
    """Default-deny: whatever is not on the list asks for credentials."""
    assert {route.path for route in all_routes() if route.role is OPEN} <= EXEMPT


def test_every_route_that_is_not_open_says_how_to_sign_in() -> None:
    found = _document()
    for route in all_routes():
        if not route.hidden:
            assert ("security" in _operation(found, route)) == (route.role is not OPEN)


@pytest.mark.route("GET /api/asyncflow/openapi.json")
@pytest.mark.route("GET /api-docs")
async def test_both_addresses_show_the_document(server: Server) -> None:
    first, second = await server.get("/api-docs"), await server.get("/api/asyncflow/openapi.json")

    assert first.status == second.status == 200
    assert first.json == second.json == _document()
