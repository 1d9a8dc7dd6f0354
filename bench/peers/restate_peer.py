"""Restate: its server, a service of its TypeScript SDK, and calls through the ingress; all from npm.

It has no limit of its own for a service: a hundred calls at once are what goes through one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from clocked import clean_up_when_told

HERE = Path(__file__).resolve().parent


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"nobody listens on {port}")


def register(admin: int, service: int) -> None:
    """Tell the server of the service, once both answer."""
    wait_for(service)
    wait_for(admin)
    body = json.dumps({"uri": f"http://127.0.0.1:{service}"}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{admin}/deployments", body, {"content-type": "application/json"}
    )
    for _ in range(60):
        try:
            urllib.request.urlopen(request, timeout=60).close()
        except urllib.error.HTTPError as error:
            refusal = error.read().decode()
            time.sleep(1)
        else:
            return
    raise TimeoutError(f"the server never took the service: {refusal}")


def spawn(folder: Path, *command: object, **settings: str) -> subprocess.Popen[bytes]:
    """A process with a group of its own, that says nothing."""
    return subprocess.Popen(
        [str(part) for part in command],
        env={**os.environ, **settings},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def main(folder: Path, workload: str, count: int) -> None:
    """One measurement, told as a line of JSON; `folder` holds the installed packages."""
    clean_up_when_told()
    ingress, admin, node, service = free_ports(4)
    settings = {
        "RESTATE_BASE_DIR": str(folder / "restate-data"),
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RUST_LOG": "error",
    }
    for name in ("service.mjs", "drive.mjs"):  # where node finds the packages
        (folder / name).write_text((HERE / "restate" / name).read_text(encoding="utf-8"), encoding="utf-8")
    command = [folder / "node_modules" / ".bin" / "restate-server"]
    server = spawn(folder, *command, **settings)
    served = spawn(folder, "node", folder / "service.mjs", str(service))
    try:
        register(admin, service)
        drive = ["node", folder / "drive.mjs", f"http://127.0.0.1:{ingress}", workload, str(count)]
        subprocess.run(drive, cwd=folder, check=True)
    finally:
        for process in (served, server):  # what npm starts the server by does not pass signals on
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(folder / "restate-data", ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
