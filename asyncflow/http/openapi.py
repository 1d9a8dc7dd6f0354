"""The OpenAPI document: made of what routes say of themselves, so that it cannot say anything else.

It reads declarations and answers two paths with them. What the components look like is in `schemas`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus

from pydantic_core import to_json

from asyncflow.app.callers import Role
from asyncflow.http.bodies import Body
from asyncflow.http.health import VERSION
from asyncflow.http.parameters import Parameter
from asyncflow.http.reply import JSON
from asyncflow.http.routing import (
    OPEN,
    Answer,
    Call,
    Reply,
    Route,
    Routes,
    json_answer,
    reply_bytes,
)
from asyncflow.http.schemas import ANY, NUMBER, TEXT, WRITTEN, YES_NO, listed, modelled, ref
from asyncflow.model.values import JsonObject

_VARIABLE = re.compile(r"\{(\w+)\*?\}")
_SECURITY: list[JsonObject] = [{"token": []}, {"bearer": []}]


def documentation(subjects: Sequence[Routes]) -> Routes:
    """The routes that show the document of these subjects, and of themselves."""
    routes = Routes("Documentation")
    made: list[bytes] = []

    @routes.get("/api-docs", role=OPEN, answers=json_answer("Map"))
    @routes.get("/api/asyncflow/openapi.json", role=OPEN, answers=json_answer("Map"))
    async def get_document(call: Call) -> Reply:  # noqa: ARG001 - as every handler is called
        """The OpenAPI document of this server."""
        if not made:
            made.append(to_json(document([*subjects, routes])))
        return reply_bytes(made[0], JSON)

    return routes


def document(subjects: Sequence[Routes]) -> JsonObject:
    """The OpenAPI 3.1 document of all routes that are not hidden."""
    components: dict[str, JsonObject] = {**WRITTEN, **modelled()}
    paths: dict[str, dict[str, JsonObject]] = {}
    names: Counter[str] = Counter()
    for routes in subjects:
        components |= routes.schemas
        for route in routes:
            if not route.hidden:
                path = _VARIABLE.sub(r"{\1}", route.path)
                paths.setdefault(path, {})[route.method.lower()] = _operation(route, names)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "asyncflow",
            "version": VERSION,
            "description": "Conductor's REST API, and asyncflow's own under /api/asyncflow.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": routes.tag} for routes in subjects],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {"Error": _error_response()},
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Authorization"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(route: Route, names: Counter[str]) -> JsonObject:
    name = getattr(route.handler, "__name__", "handler")
    names[name] += 1
    found: JsonObject = {
        "tags": [route.tag],
        "operationId": name if names[name] == 1 else f"{name}_{names[name]}",
        "summary": route.summary,
        "parameters": [*_path_parameters(route.path), *map(_query_parameter, route.query)],
        "responses": _responses(route),
        "x-role": route.role.name.lower(),
    }
    if route.about:
        found["description"] = route.about
    if route.body is not None:
        found["requestBody"] = _request_body(route.body)
    if route.role is not Role.OPEN:
        found["security"] = _SECURITY
    return found


def _path_parameters(path: str) -> list[JsonObject]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _VARIABLE.findall(path)
    ]


def _query_parameter(declared: Parameter) -> JsonObject:
    schema: JsonObject = dict(
        {"flag": YES_NO, "number": NUMBER, "word": TEXT, "words": listed(TEXT)}[declared.kind]
    )
    if declared.minimum is not None:
        schema["minimum"] = declared.minimum
    if declared.maximum is not None:
        schema["maximum"] = declared.maximum
    if declared.choices:
        schema["enum"] = list(declared.choices)
    if declared.default not in (None, "", ()):
        schema["default"] = declared.default
    found: JsonObject = {
        "name": declared.name,
        "in": "query",
        "required": declared.required,
        "schema": schema,
    }
    if declared.about:
        found["description"] = declared.about
    return found


def _request_body(body: Body) -> JsonObject:
    if body.kind == "text":
        content: JsonObject = {"text/plain": {"schema": TEXT}}
    else:
        content = {JSON: {"schema": _schema(body.schema, many=body.many)}}
    return {"required": not body.optional, "content": content}


def _responses(route: Route) -> JsonObject:
    found: JsonObject = {
        str(status): {"$ref": "#/components/responses/Error"} for status in sorted(route.error_statuses)
    }
    for answer in route.answers:
        found[str(answer.status)] = _response(answer)
    return dict(sorted(found.items()))


def _response(answer: Answer) -> JsonObject:
    found: JsonObject = {"description": answer.about or HTTPStatus(answer.status).phrase}
    if answer.content_type == JSON:
        found["content"] = {JSON: {"schema": _schema(answer.schema, many=answer.many)}}
    elif answer.content_type:
        found["content"] = {answer.content_type: {"schema": TEXT}}
    return found


def _schema(name: str, *, many: bool) -> JsonObject:
    one = ref(name) if name else ANY
    return listed(one) if many else one


def _error_response() -> JsonObject:
    return {"description": "Conductor's shape of an error.", "content": {JSON: {"schema": ref("Error")}}}
