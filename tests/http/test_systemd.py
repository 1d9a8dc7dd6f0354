"""What systemd hears of a server: over a real datagram socket, by path and by an abstract name."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asyncflow.app.systemd import Systemd
from tests.http.test_processes import serve


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    """A service manager's end of the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind("\0" + address[1:] if address.startswith("@") else address)
        link.settimeout(60)
        yield link


def heard(link: socket.socket) -> list[str]:
    return link.recv(4096).decode().split("\n")


def until(link: socket.socket, word: str) -> list[list[str]]:
    """All that is told, up to the first message with the word."""
    told = [heard(link)]
    while word not in told[-1]:
        told.append(heard(link))
    return told


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_it_hears_of_the_whole_life(tmp_path: Path, kind: str) -> None:
    address = str(tmp_path / "notify") if kind == "path" else f"@asyncflow-{os.getpid()}-{tmp_path.name}"
    wanted = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
    with manager(address) as link, serve(tmp_path, **wanted) as (process, url):
        opening = until(link, "READY=1")
        beats = [until(link, "WATCHDOG=1") for _ in range(3)]
        process.terminate()
        stopping = until(link, "STOPPING=1")
        process.communicate(timeout=60)

    assert opening[0] == ["STATUS=opening asyncflow.db", "EXTEND_TIMEOUT_USEC=300000"]
    assert opening[-1] == ["READY=1", f"STATUS=serving on {url}", f"MAINPID={process.pid}"]
    assert not [words for words in opening if "WATCHDOG=1" in words], "not before it is ready"
    assert [each[-1] for each in beats] == [["WATCHDOG=1"]] * 3
    assert "STATUS=stopping" in stopping[-1]
    assert process.returncode == 0


def test_a_manager_that_is_gone_harms_nothing(tmp_path: Path) -> None:
    with serve(tmp_path, NOTIFY_SOCKET=str(tmp_path / "nobody")) as (process, _):
        process.terminate()
        _, err = process.communicate(timeout=60)

    assert process.returncode == 0
    assert err.count("systemd cannot be told anything") == 1


@pytest.mark.parametrize(
    ("variables", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "often"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdog_is_for_this_process_only(variables: dict[str, str], watchdog_s: float) -> None:
    environment = {"NOTIFY_SOCKET": "/run/notify", "PATH": "/bin", **variables}
    found = Systemd.of(environment)

    assert (found.address, found.watchdog_s) == ("/run/notify", watchdog_s)
    assert environment == {"PATH": "/bin"}, "children speak for themselves"


def test_an_address_that_is_no_unix_socket_is_left_alone() -> None:
    assert Systemd.of({"NOTIFY_SOCKET": "vsock:2:1234"}).address == ""
