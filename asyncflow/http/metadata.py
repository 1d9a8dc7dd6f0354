"""The routes of `/api/metadata`: definitions of workflows and tasks, registered, shown and deleted.

Statuses and words are Conductor's. What is checked is in `app/definitions`, what is shown in
`app/catalogue`.
"""

from __future__ import annotations

from asyncflow.app.catalogue import Catalogue
from asyncflow.app.comparing import check_compatible
from asyncflow.errors import AsyncflowError, DefinitionError, InvalidInput, NotFound, Violation
from asyncflow.http.listing import read, reply_bulk, reply_listed, reply_shown
from asyncflow.http.routing import (
    AUTHOR,
    VIEWER,
    Call,
    HttpError,
    Reply,
    Routes,
    empty_answer,
    flag,
    json_answer,
    json_body,
    number,
    reply_empty,
    reply_json,
    word,
)
from asyncflow.model.definition import (
    TaskDefinition,
    WorkflowDefinition,
    parse_task_definition,
    parse_workflow,
)
from asyncflow.model.values import JsonObject

routes = Routes("Metadata")

_CHECK = word("check", about="`compatible` refuses (409) what breaks users of the version before.")
_SET_BY_US = ("createTime", "updateTime")


def _catalogue(call: Call) -> Catalogue:
    return Catalogue(call.services.executions.engine)


def _without_times(body: JsonObject) -> JsonObject:
    """A definition as it was sent, without what the server says of it: clients send back what they got."""
    return {key: value for key, value in body.items() if key not in _SET_BY_US}


def _workflow_of(call: Call, body: object, path: str = "") -> WorkflowDefinition:
    """The definition in a body; raises DefinitionError, with `path` before every path in it."""
    try:
        if not isinstance(body, dict):
            raise DefinitionError([Violation("", "must be an object")])
        parsed = parse_workflow(_without_times(body), limits=call.limits)
        return call.services.executions.check_workflow(parsed)
    except DefinitionError as error:
        raise _placed(error, path) from error


def _task_of(call: Call, body: object, path: str = "") -> TaskDefinition:
    """The task definition in a body; raises as `_workflow_of`."""
    try:
        if not isinstance(body, dict):
            raise DefinitionError([Violation("", "must be an object")])
        parsed = parse_task_definition(_without_times(body), limits=call.limits)
        return call.services.executions.check_task(parsed)
    except DefinitionError as error:
        raise _placed(error, path) from error


def _placed(error: DefinitionError, path: str) -> DefinitionError:
    if not path:
        return error
    return DefinitionError(
        [Violation(f"{path}.{each.path}" if each.path else path, each.message) for each in error.violations]
    )


def _check_use(call: Call, definitions: list[WorkflowDefinition]) -> None:
    """Return if none breaks the users of the version before, or nobody asked."""
    asked = call.word("check")
    if asked not in {"", "compatible"}:
        raise InvalidInput("only `compatible` can be asked for", field="check")
    for definition in definitions if asked else ():
        check_compatible(call.services.executions.engine, definition)


# --- workflows ------------------------------------------------------------------------------------


@routes.post(
    "/api/metadata/workflow",
    role=AUTHOR,
    query=(flag("overwrite", about="Replace a version that is registered already."), _CHECK),
    body=json_body("WorkflowDef"),
    answers=empty_answer(),
    errors=(409,),
)
async def create_workflow(call: Call) -> Reply:
    """Register a workflow definition."""
    body = await call.json_object()
    definition = await read(call, lambda: _workflow_of(call, body))
    overwrite = call.flag("overwrite")
    if not overwrite and _catalogue(call).has_workflow(definition.name, definition.version):
        raise HttpError(409, f"Workflow with {definition.name}.{definition.version} already exists!")
    _check_use(call, [definition])
    await call.services.executions.register_workflow(
        definition, overwrite=overwrite, created_by=call.caller.name
    )
    return reply_empty()


@routes.put(
    "/api/metadata/workflow",
    role=AUTHOR,
    query=(flag("overwrite", default=True, about="Ignored: versions are replaced."), _CHECK),
    body=json_body("WorkflowDef", many=True),
    answers=json_answer("BulkResponse"),
    errors=(409,),
)
async def update_workflows(call: Call) -> Reply:
    """Register or replace workflow definitions; one that is invalid refuses all."""
    bodies = await call.json_list()
    definitions = await read(
        call, lambda: [_workflow_of(call, body, f"[{index}]") for index, body in enumerate(bodies)]
    )
    _check_use(call, definitions)
    failed: dict[str, str] = {}
    done: list[str] = []
    for definition in definitions:
        try:
            await call.services.executions.register_workflow(definition, created_by=call.caller.name)
            done.append(definition.name)
        except AsyncflowError as error:
            failed[definition.name] = str(error)
    return reply_bulk(done, failed)


@routes.post(
    "/api/metadata/workflow/validate", role=AUTHOR, body=json_body("WorkflowDef"), answers=empty_answer()
)
async def validate_workflow(call: Call) -> Reply:
    """Check a workflow definition without registering it."""
    body = await call.json_object()
    await read(call, lambda: _workflow_of(call, body))
    return reply_empty()


@routes.get(
    "/api/metadata/workflow",
    role=VIEWER,
    query=(word("classifier", about="Only those of a classifier, as `workflow` or `agent`."),),
    answers=json_answer("WorkflowDef", many=True),
)
async def list_workflows(call: Call) -> Reply:
    """All versions of all workflow definitions."""
    catalogue = _catalogue(call)
    return await reply_listed(catalogue.workflows(call.word("classifier")), catalogue.shown)


@routes.get("/api/metadata/workflow/names", role=VIEWER, answers=json_answer("Text", many=True))
async def list_workflow_names(call: Call) -> Reply:
    """The names of all workflows."""
    return reply_json(_catalogue(call).workflow_names())


@routes.get("/api/metadata/workflow/names-and-versions", role=VIEWER, answers=json_answer("Map"))
async def list_names_and_versions(call: Call) -> Reply:
    """The versions of all workflows, by name."""
    catalogue = _catalogue(call)
    return reply_json({name: catalogue.workflow_versions(name) for name in catalogue.workflow_names()})


@routes.get(
    "/api/metadata/workflow/latest-versions", role=VIEWER, answers=json_answer("WorkflowDef", many=True)
)
async def list_latest_versions(call: Call) -> Reply:
    """The highest version of every workflow definition."""
    catalogue = _catalogue(call)
    return await reply_listed(catalogue.latest_workflows(), catalogue.shown)


@routes.get(
    "/api/metadata/workflow/{name}",
    role=VIEWER,
    query=(number("version", about="By default the highest."),),
    answers=json_answer("WorkflowDef"),
    errors=(404,),
)
async def get_workflow_definition(call: Call) -> Reply:
    """A workflow definition."""
    catalogue, version = _catalogue(call), call.number("version")
    try:
        found = catalogue.workflow(call.path["name"], version)
    except NotFound as error:
        raise HttpError(404, no_such_workflow(call.path["name"], version)) from error
    return await reply_shown(found, catalogue.shown)


def no_such_workflow(name: str, version: int | None) -> str:
    """What Conductor says of a workflow that is not registered."""
    return f"No such workflow found by name: {name}, version: {'null' if version is None else version}"


@routes.get(
    "/api/metadata/workflow/{name}/versions",
    role=VIEWER,
    answers=json_answer("Map", many=True),
    errors=(404,),
)
async def list_workflow_versions(call: Call) -> Reply:
    """Name, version and times of every version of a workflow."""
    return reply_json(_catalogue(call).workflow_versions(call.path["name"]))


@routes.delete("/api/metadata/workflow/{name}/{version}", role=AUTHOR, answers=empty_answer(), errors=(404,))
async def delete_workflow(call: Call) -> Reply:
    """Delete a version of a workflow definition; executions of it go on."""
    name, version = call.path["name"], call.path_number("version")
    try:
        await call.services.executions.unregister_workflow(name, version)
    except NotFound as error:
        raise HttpError(404, no_such_workflow(name, version)) from error
    return reply_empty()


# --- tasks ----------------------------------------------------------------------------------------


@routes.post(
    "/api/metadata/taskdefs",
    role=AUTHOR,
    body=json_body("TaskDef", many=True, optional=True),
    answers=empty_answer(),
)
async def register_tasks(call: Call) -> Reply:
    """Register or replace task definitions; one that is invalid refuses all."""
    bodies = await call.json()
    if bodies is None:
        raise InvalidInput("TaskDefList cannot be empty or null")
    if not isinstance(bodies, list):
        raise InvalidInput("a JSON list is expected", field="body")
    if not bodies:
        raise InvalidInput("TaskDefList is empty")
    definitions = [_task_of(call, body, f"[{index}]") for index, body in enumerate(bodies)]
    for definition in definitions:
        await call.services.executions.register_task(definition, created_by=call.caller.name)
    return reply_empty()


@routes.put(
    "/api/metadata/taskdefs", role=AUTHOR, body=json_body("TaskDef"), answers=empty_answer(), errors=(404,)
)
async def update_task(call: Call) -> Reply:
    """Replace a task definition."""
    definition = _task_of(call, await call.json_object())
    try:
        _catalogue(call).task(definition.name)
    except NotFound as error:
        raise HttpError(404, f"No such task by name {definition.name}") from error
    await call.services.executions.register_task(definition, created_by=call.caller.name)
    return reply_empty()


@routes.get("/api/metadata/taskdefs", role=VIEWER, answers=json_answer("TaskDef", many=True))
async def list_tasks(call: Call) -> Reply:
    """All task definitions."""
    catalogue = _catalogue(call)
    return await reply_listed(catalogue.tasks(), catalogue.shown)


@routes.get("/api/metadata/taskdefs/{name}", role=VIEWER, answers=json_answer("TaskDef"), errors=(404,))
async def get_task_definition(call: Call) -> Reply:
    """A task definition."""
    catalogue, name = _catalogue(call), call.path["name"]
    try:
        found = catalogue.task(name)
    except NotFound as error:
        raise HttpError(404, f"No such taskType found by name: {name}") from error
    return reply_json(catalogue.shown(found))


@routes.delete("/api/metadata/taskdefs/{name}", role=AUTHOR, answers=empty_answer(), errors=(404,))
async def delete_task(call: Call) -> Reply:
    """Delete a task definition; executions that began with it go on with it."""
    name = call.path["name"]
    try:
        await call.services.executions.unregister_task(name)
    except NotFound as error:
        raise HttpError(404, f"No such taskType found by name: {name}") from error
    return reply_empty()
