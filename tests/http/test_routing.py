"""Which route a request means, and what a handler reads of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from asyncflow.errors import InvalidInput, LimitExceeded
from asyncflow.http.matching import Matcher
from asyncflow.http.parameters import Parameter, Value, read_parameters
from asyncflow.http.routing import (
    OPEN,
    VIEWER,
    Call,
    Reply,
    Routes,
    flag,
    json_answer,
    json_body,
    number,
    reply_empty,
    reply_json,
    reply_text,
    text_answer,
    text_body,
    word,
    words,
)
from tests.http.conftest import Server, serving

echo = Routes("Echo")

PARAMETERS = (
    flag("yes", default=True),
    number("count", default=3, minimum=1, maximum=9),
    number("version"),
    word("name", default="somebody"),
    words("types"),
    word("how", choices=("FAST", "SLOW")),
)


async def _text(call: Call) -> Reply:
    """Say which route it is."""
    return reply_text(",".join(f"{name}={value}" for name, value in call.path.items()))


echo.get("/api/things/search", role=OPEN, answers=text_answer())(_text)
echo.get("/api/things/{id}", role=OPEN, answers=text_answer())(_text)
echo.delete("/api/things/{id}", role=OPEN, answers=text_answer())(_text)
echo.get("/api/things/{id}/parts/{part}", role=OPEN, answers=text_answer())(_text)
echo.get("/files/{path*}", role=OPEN, answers=text_answer())(_text)


@echo.get("/api/numbered/{version}", role=OPEN, answers=json_answer())
async def get_numbered(call: Call) -> Reply:
    """A number in the path."""
    return reply_json(call.path_number("version"))


@echo.get("/api/read", role=VIEWER, query=PARAMETERS, answers=json_answer())
async def get_read(call: Call) -> Reply:
    """What was read of the query."""
    return reply_json(
        [
            call.flag("yes"),
            call.integer("count"),
            call.number("version"),
            call.word("name"),
            call.words("types"),
            call.word("how"),
        ]
    )


@echo.post("/api/any", role=VIEWER, body=json_body(optional=True), answers=json_answer())
async def post_any(call: Call) -> Reply:
    """Any JSON, read twice."""
    return reply_json([await call.json(), await call.json()])


@echo.post("/api/object", role=VIEWER, body=json_body("Map"), answers=json_answer())
async def post_object(call: Call) -> Reply:
    """An object."""
    return reply_json(await call.json_object())


@echo.post("/api/list", role=VIEWER, body=json_body(many=True, optional=True), answers=json_answer())
async def post_list(call: Call) -> Reply:
    """A list."""
    return reply_json(await call.json_list())


@echo.post("/api/text", role=VIEWER, body=text_body(), answers=text_answer())
async def post_text(call: Call) -> Reply:
    """A text."""
    return reply_text(await call.text())


@echo.put("/api/nothing", role=VIEWER)
async def put_nothing(call: Call) -> Reply:
    """No body is read."""
    assert call.caller.name == "anonymous"
    return reply_empty()


@pytest.fixture
async def echoing() -> AsyncIterator[Server]:
    async with serving(echo) as server:
        yield server


# --- paths ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/api/things/search", ""),
        ("/api/things/7", "id=7"),
        ("/api/things/search/parts/x", "id=search,part=x"),
        ("/api/things/a%2Fb%20c", "id=a/b c"),
        ("/api/things/%E2%82%AC", "id=€"),
        ("/api/things/a+b", "id=a+b"),
        ("/files/a/b/c.txt", "path=a/b/c.txt"),
        ("/api/things/7?x=/api/read", "id=7"),
    ],
)
async def test_a_path_means_the_most_literal_route(echoing: Server, path: str, text: str) -> None:
    answer = await echoing.raw("GET", path)

    assert (answer.status, answer.text) == (200, text)


async def test_a_literal_path_without_the_method_leaves_it_to_a_variable_one(echoing: Server) -> None:
    answer = await echoing.delete("/api/things/search")

    assert (answer.status, answer.text) == (200, "id=search")


@pytest.mark.parametrize(
    "path", ["/api/things/", "/api/things", "/api//things/7", "/", "/api/things/7/", "/API/read"]
)
async def test_a_path_nobody_wrote_is_not_found(echoing: Server, path: str) -> None:
    answer = await echoing.raw("GET", path)

    assert answer.status == 404
    assert answer.message == f"No static resource {path[1:]}"


@pytest.mark.parametrize(
    "path", ["/api/things/%", "/api/things/%zz", "/api/things/%ff", "/api/things/%ed%a0%80"]
)
async def test_a_broken_escape_is_refused(echoing: Server, path: str) -> None:
    answer = await echoing.raw("GET", path)

    assert answer.status == 400


async def test_another_method_is_told_which_there_are(echoing: Server) -> None:
    answer = await echoing.post("/api/things/7", json={})

    assert (answer.status, answer.headers["Allow"]) == (405, "DELETE, GET, HEAD, OPTIONS")


async def test_options_lists_the_methods(echoing: Server) -> None:
    answer = await echoing.call("OPTIONS", "/api/read")

    assert (answer.status, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")


async def test_head_is_get_without_the_body(echoing: Server) -> None:
    answer = await echoing.call("HEAD", "/api/things/7")

    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "4")


async def test_a_number_in_a_path_has_to_be_one(echoing: Server) -> None:
    assert (await echoing.get("/api/numbered/12")).json == 12
    assert (await echoing.get("/api/numbered/1.5")).status == 400
    assert (await echoing.get("/api/numbered/-1")).status == 400


def test_two_routes_cannot_mean_the_same() -> None:
    routes = Routes("Twice")
    routes.get("/api/{a}", role=OPEN)(_text)
    routes.get("/api/{b}", role=OPEN)(_text)

    with pytest.raises(ValueError, match="two routes for GET"):
        Matcher(routes)


# --- parameters -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("", [True, 3, None, "somebody", [], ""]),
        ("yes=False", [False, 3, None, "somebody", [], ""]),
        ("yes=on&count=9&version=0", [True, 9, 0, "somebody", [], ""]),
        ("name=a+b%26c&how=slow", [True, 3, None, "a b&c", [], "SLOW"]),
        ("name=None&version=&count=None", [True, 3, None, "somebody", [], ""]),
        ("types=a&types=b,c&types=,", [True, 3, None, "somebody", ["a", "b", "c"], ""]),
        ("queryId=&unknown=1&yes", [True, 3, None, "somebody", [], ""]),
        ("name=first&name=last", [True, 3, None, "last", [], ""]),
        ("name=a%3Db=c", [True, 3, None, "a=b=c", [], ""]),
    ],
)
async def test_parameters_are_read_as_clients_send_them(
    echoing: Server, query: str, values: list[object]
) -> None:
    answer = await echoing.raw("GET", f"/api/read?{query}")

    assert answer.json == values


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("yes=maybe", "yes"),
        ("count=0", "count"),
        ("count=10", "count"),
        ("count=1.5", "count"),
        ("version=9999999999999999999999", "version"),
        ("version=9223372036854775808", "version"),  # of 19 digits, and of 64 bits no more
        ("version=-9223372036854775809", "version"),
        ("version=%D9%A1", "version"),  # an Arabic one is no digit here
        ("how=sideways", "how"),
        ("name=%ff", "name"),
        ("name=%2", "name"),
        ("%ff=1", "address"),
    ],
)
async def test_a_malformed_parameter_is_refused_by_name(echoing: Server, query: str, named: str) -> None:
    answer = await echoing.raw("GET", f"/api/read?{query}")

    assert answer.status == 400
    assert answer.message.startswith(f"{named}: ")


@pytest.mark.parametrize(
    "declared", [number("n", required=True), word("n", required=True), words("n", required=True)]
)
def test_a_required_parameter_must_be_there(declared: Parameter) -> None:
    with pytest.raises(InvalidInput, match="n: the parameter is missing"):
        read_parameters([declared], "n=")


def test_a_query_has_a_bound_on_its_fields() -> None:
    with pytest.raises(LimitExceeded, match="query_fields"):
        read_parameters([flag("yes")], "&".join(["a=1"] * 2_001))


def test_zero_is_present() -> None:
    wanted: dict[str, Value] = {"n": 0}

    assert read_parameters([number("n", required=True)], "n=0") == wanted


# --- bodies -----------------------------------------------------------------------------------


async def test_a_body_can_be_read_twice(echoing: Server) -> None:
    assert (await echoing.post("/api/any", json={"a": [1]})).json == [{"a": [1]}, {"a": [1]}]


async def test_an_optional_body_may_be_missing(echoing: Server) -> None:
    assert (await echoing.post("/api/any")).json == [None, None]
    assert (await echoing.post("/api/list")).json == []


@pytest.mark.parametrize("body", [b"", b"  ", b"[]", b"null", b"{", b"{'a': 1}", b"\xff", b"{} {}"])
async def test_what_is_no_object_is_refused_where_one_is_expected(echoing: Server, body: bytes) -> None:
    answer = await echoing.post("/api/object", data=body)

    assert answer.status == 400


async def test_a_text_is_taken_as_it_is(echoing: Server) -> None:
    assert (await echoing.post("/api/text", data='a "quoted" text')).text == 'a "quoted" text'
    assert (await echoing.post("/api/text", data=b"\xff")).status == 400


async def test_calls_without_a_body_tolerate_one(echoing: Server) -> None:
    assert (await echoing.put("/api/nothing", json={})).status == 200
    assert (await echoing.put("/api/nothing")).status == 200
