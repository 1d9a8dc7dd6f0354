"""The client: what it sends again and what never, tokens, refusals, and streams of events.

The other side is a socket that says what the test wrote down, for a real server is too well behaved.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from asyncflow.errors import (
    ConfigurationError,
    DefinitionError,
    InvalidInput,
    ServerRefused,
    ServerUnreachable,
)
from asyncflow.sdk.client import Address, Client, path_of
from tests.cli.remote_calls import Shell
from tests.http.credentials import key_ring

CUT = b""
"""An answer that never comes: the connection is closed instead."""


def answer(status: int, body: bytes = b"{}", *fields: str) -> bytes:
    head = [
        f"HTTP/1.1 {status} Said",
        f"Content-Length: {len(body)}",
        "Content-Type: application/json",
        *fields,
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


@dataclass
class Peer:
    """The other side: its address, and the requests that it has read, line and body."""

    url: str
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def lines(self) -> list[str]:
        return [head.splitlines()[0].removesuffix(" HTTP/1.1") for head in self.heads]


@contextmanager
def peer(*answers: bytes, closing: bool = False) -> Iterator[Peer]:
    """A peer with these answers, in order; with `closing` every connection ends after one."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = Peer(f"http://127.0.0.1:{listening.getsockname()[1]}")
        left = list(answers)

        def serve() -> None:
            while left:
                connection, _ = listening.accept()
                made.connections += 1
                with connection, connection.makefile("rb") as reading:
                    while left and _read(reading, made):
                        said = left.pop(0)
                        if said == CUT:
                            break
                        connection.sendall(said)
                        if closing:
                            break

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield made
        thread.join(timeout=10)
        assert not left, f"never asked for: {left}"


def _read(reading: object, made: Peer) -> bool:
    """Read a request; whether there was one."""
    lines: list[str] = []
    for raw in iter(reading.readline, b""):  # type: ignore[attr-defined]
        line = raw.decode().rstrip("\r\n")
        if not line:
            length = next((each for each in lines if each.lower().startswith("content-length:")), ":0")
            made.heads.append("\n".join(lines))
            made.bodies.append(reading.read(int(length.partition(":")[2])))  # type: ignore[attr-defined]
            return True
        lines.append(line)
    return False


# --- sending again --------------------------------------------------------------------------------


def test_one_connection_serves_many_requests() -> None:
    with peer(answer(200, b"1"), answer(200, b"2")) as other, Client(Address(other.url)) as client:
        found = [client.get("/a").json, client.send("POST", "/b", body={"x": 1}).json]

    assert (found, other.connections) == ([1, 2], 1)
    assert other.lines == ["GET /a", "POST /b"]
    assert other.bodies[1] == b'{"x": 1}'


def test_a_connection_that_the_server_has_closed_is_made_anew() -> None:
    with peer(answer(200), answer(200), closing=True) as other, Client(Address(other.url)) as client:
        client.send("POST", "/a")
        sock = client._connection.sock if client._connection else None
        assert sock is not None
        assert sock.recv(1, socket.MSG_PEEK) == b""  # wait until its end has arrived
        client.send("POST", "/b")

    assert (other.lines, other.connections) == (["POST /a", "POST /b"], 2)


def test_reading_is_repeated_when_the_connection_breaks() -> None:
    with peer(CUT, answer(200, b"7")) as other, Client(Address(other.url)) as client:
        assert client.get("/a").json == 7

    assert other.lines == ["GET /a", "GET /a"]


def test_writing_is_never_repeated_unless_it_may_be() -> None:
    with peer(CUT) as other, Client(Address(other.url)) as client, pytest.raises(ServerUnreachable):
        client.send("POST", "/a")
    with peer(CUT, answer(200, b"7")) as again, Client(Address(again.url)) as client:
        assert client.send("POST", "/a", repeatable=True).json == 7

    assert (len(other.lines), len(again.lines)) == (1, 2)


def test_a_status_that_passes_is_waited_for() -> None:
    busy = answer(503, b'{"message": "draining"}', "Retry-After: 0")
    with peer(busy, busy, answer(200, b"7")) as other, Client(Address(other.url)) as client:
        assert client.get("/a").json == 7
    with (
        peer(busy, busy, busy) as other,
        Client(Address(other.url)) as client,
        pytest.raises(ServerUnreachable, match="503, draining"),
    ):
        client.get("/a")
    with peer(busy) as other, Client(Address(other.url)) as client, pytest.raises(ServerUnreachable):
        client.send("PUT", "/a")


def test_silence_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = Address(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with Client(address, timeout_s=0.05) as client, pytest.raises(ServerUnreachable, match="in time"):
            client.get("/a")


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b'{"message": "no such workflow"}', "404: no such workflow"),
        (400, b"<html>", "400: Bad Request"),
        (302, b"", "302: Found"),
        (418, b"[1]", "418: "),
        (500, b'{"message": null}', "500: Internal Server Error"),
    ],
)
def test_a_refusal_has_the_words_of_the_server(status: int, body: bytes, said: str) -> None:
    with (
        peer(answer(status, body)) as other,
        Client(Address(other.url)) as client,
        pytest.raises(ServerRefused) as caught,
    ):
        client.get("/a")

    assert str(caught.value).startswith(said)


def test_violations_name_their_fields() -> None:
    body = json.dumps({"validationErrors": [{"path": "tasks[0].name", "message": "is missing"}]}).encode()
    with (
        peer(answer(400, body)) as other,
        Client(Address(other.url)) as client,
        pytest.raises(DefinitionError, match=r"tasks\[0\].name: is missing"),
    ):
        client.send("POST", "/a", body={})


def test_what_is_no_json_is_no_answer() -> None:
    with peer(answer(200, b"<html>")) as other, Client(Address(other.url)) as client:
        found = client.get("/a")
        with pytest.raises(ServerRefused, match="no JSON"):
            _ = found.json


def test_parameters_and_paths_are_quoted() -> None:
    with peer(answer(200)) as other, Client(Address(other.url + "/behind/api/")) as client:
        client.get(
            path_of("api", "a/b?c#ü"), {"q": "x = 'y&z'", "no": None, "empty": "", "f": True, "l": [1, 2]}
        )

    assert other.lines == ["GET /behind/api/a%2Fb%3Fc%23%C3%BC?q=x+%3D+%27y%26z%27&f=true&l=1&l=2"]


@pytest.mark.parametrize("part", ["", ".", "..", "\udcff"])
def test_a_part_that_is_no_name_is_refused(part: str) -> None:
    with pytest.raises(InvalidInput):
        path_of("api", part)


# --- credentials ----------------------------------------------------------------------------------


def test_a_key_and_a_secret_become_a_token_which_is_got_anew() -> None:
    environ = {"CONDUCTOR_AUTH_KEY": "me", "CONDUCTOR_AUTH_SECRET": "hunter2"}
    said = [
        answer(200, b'{"token": "one"}'),
        answer(200),
        answer(401, b'{"message": "expired"}'),
        answer(200, b'{"token": "two"}'),
        answer(200, b"7"),
    ]
    with peer(*said) as other, Client(Address.found(environ, other.url)) as client:
        client.get("/a")
        assert client.send("POST", "/b").json == 7

    assert other.lines == ["POST /api/token", "GET /a", "POST /b", "POST /api/token", "POST /b"]
    assert json.loads(other.bodies[0]) == {"keyId": "me", "keySecret": "hunter2"}
    assert "X-Authorization: two" in other.heads[-1]
    assert "hunter2" not in repr(client.address)


def test_a_server_without_keys_is_called_without_a_token() -> None:
    environ = {"CONDUCTOR_AUTH_KEY": "me", "CONDUCTOR_AUTH_SECRET": "s"}
    with (
        peer(answer(404), answer(200), answer(200)) as other,
        Client(Address.found(environ, other.url)) as client,
    ):
        client.get("/a")
        client.get("/b")

    assert other.lines == ["POST /api/token", "GET /a", "GET /b"]


@pytest.mark.parametrize("name", ["CONDUCTOR_AUTH_KEY", "CONDUCTOR_AUTH_SECRET"])
def test_half_a_key_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="CONDUCTOR_AUTH"):
        Address.found({name: "x"})


async def test_keys_of_the_environment_let_the_command_line_in(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = await key_ring(shell.server.services.keys)
    refused = await shell("workflow", "list", code=2)
    monkeypatch.setenv("ASYNCFLOW_API_KEY", ring.by_role["viewer"].text)
    await shell("workflow", "list")
    who = await shell.one("server", "whoami")
    forbidden = await shell("workflow", "start", "quick", code=2)
    monkeypatch.delenv("ASYNCFLOW_API_KEY")
    monkeypatch.setenv("CONDUCTOR_AUTH_KEY", ring.by_role["operator"].record.key_id)
    monkeypatch.setenv("CONDUCTOR_AUTH_SECRET", ring.by_role["operator"].secret)
    await shell("workflow", "start", "quick")
    monkeypatch.setenv("CONDUCTOR_AUTH_SECRET", "wrong-secret")
    wrong = await shell("workflow", "list", code=2)

    assert "401" in refused.stderr
    assert who["name"] == "viewer-key"
    assert "403" in forbidden.stderr
    assert "401" in wrong.stderr
    assert "wrong-secret" not in wrong.output


# --- events ---------------------------------------------------------------------------------------


def test_events_are_read_and_gone_on_with() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    stream = (
        b": hello\n\nid: 1\nevent: TaskEnded\ndata: {\ndata: }\n\nretry: 5\n\ndata: x\r\n\r\nid: 3\ndata: cut"
    )
    with peer(head + stream, answer(204, b""), closing=True) as other, Client(Address(other.url)) as client:
        events = list(client.events("/stream"))
        none = list(client.events("/stream", after=events[-1].identity))

    assert [(each.identity, each.kind, each.data) for each in events] == [
        ("1", "TaskEnded", "{\n}"),
        ("1", "message", "x"),
    ]
    assert none == []
    assert "Last-Event-ID: 1" in other.heads[1]


def test_a_stream_that_is_refused_says_so() -> None:
    with (
        peer(answer(404, b'{"message": "no stream"}')) as other,
        Client(Address(other.url)) as client,
        pytest.raises(ServerRefused, match="no stream"),
    ):
        list(client.events("/stream"))
