"""Requests that are not meant for this server, or come from pages that may not call it (R113)."""

from __future__ import annotations

import pytest

from asyncflow.http.addressing import Addressing, is_loopback
from asyncflow.http.errors import HttpError
from asyncflow.http.routing import OPEN, Call, Reply, Routes, reply_text, text_answer
from asyncflow.http.server import HttpSettings
from tests.http.conftest import serving

LOCAL = Addressing(local_only=True, hosts=("flow.example.org",), origins=("https://ops.example.org",))
PUBLIC = Addressing(local_only=False)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8080",
        "LocalHost:1",
        "127.0.0.1:8080",
        "127.8.8.8",
        "[::1]:8080",
        "app.localhost",
        "flow.example.org:443",
        "localhost.",
        "",
    ],
)
def test_names_of_this_machine_are_ours(host: str) -> None:
    assert LOCAL.check({"Host": host}, "/api/x") is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.org",
        "127.0.0.1.evil.org:8080",
        "localhost.evil.org",
        "10.0.0.1",
        "[::2]",
        "0.0.0.0",
        "1",
    ],
)
def test_a_name_that_was_made_to_point_here_is_refused(host: str) -> None:
    """DNS rebinding: the page of an attacker reaches us under the attacker's own name."""
    with pytest.raises(HttpError) as refused:
        LOCAL.check({"Host": host}, "/api/x")

    assert refused.value.status == 403


def test_beyond_loopback_any_name_may_be_ours() -> None:
    assert PUBLIC.check({"Host": "anything.example.org"}, "/api/x") is None


def test_beyond_loopback_names_can_be_fixed() -> None:
    fixed = Addressing(local_only=False, hosts=("flow.example.org",))

    assert fixed.check({"Host": "flow.example.org"}, "/") is None
    with pytest.raises(HttpError):
        fixed.check({"Host": "localhost"}, "/")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": "https://evil.example.org"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://localhost:8080.evil.org"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_pages_of_other_origins_may_not_call(headers: dict[str, str]) -> None:
    with pytest.raises(HttpError) as refused:
        LOCAL.check({"Host": "localhost:8080", **headers}, "/api/tasks/poll/x")

    assert refused.value.status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost:8080"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_our_own_pages_and_programs_may_call(headers: dict[str, str]) -> None:
    assert LOCAL.check({"Host": "localhost:8080", **headers}, "/api/x") is None


def test_links_lead_to_pages_but_not_into_the_api() -> None:
    link = {"Host": "localhost:8080", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}

    assert LOCAL.check(link, "/ui/executions") is None


def test_configured_origins_are_named_in_the_answer() -> None:
    more = LOCAL.check({"Host": "localhost:8080", "Origin": "https://ops.example.org"}, "/api/x")

    assert more is not None
    assert more["Access-Control-Allow-Origin"] == "https://ops.example.org"
    assert more["Vary"] == "Origin"


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("", False)],
)
def test_what_counts_as_loopback(host: str, local: bool) -> None:  # noqa: FBT001
    assert is_loopback(host) is local


# --- on the wire ------------------------------------------------------------------------------


async def test_a_preflight_is_answered_for_configured_origins_only() -> None:
    routes = Routes("Page")

    @routes.get("/page", role=OPEN, answers=text_answer())
    async def page(call: Call) -> Reply:
        """A page."""
        return reply_text(call.header("origin"), content_type="text/html; charset=utf-8")

    settings = HttpSettings(port=0, origins=("https://ops.example.org",))
    async with serving(routes, settings=settings) as server:
        good = await server.call("OPTIONS", "/page", headers={"Origin": "https://ops.example.org"})
        bad = await server.call("OPTIONS", "/page", headers={"Origin": "null"})
        read = await server.get("/page", headers={"Origin": "https://ops.example.org"})

        assert (good.status, good.headers["Access-Control-Allow-Origin"]) == (204, "https://ops.example.org")
        assert "Access-Control-Allow-Origin" not in bad.headers
        assert bad.status == 403
        assert read.text == "https://ops.example.org"
        assert "default-src 'self'" in read.headers["Content-Security-Policy"]
        assert read.headers["Server"] == "asyncflow"
