"""Ask a real server everything that its OpenAPI document allows, and much that it does not.

`python tests/fuzz/run_schemathesis.py [--seconds 600]` starts `asyncflow serve` on an empty file and has
schemathesis (`pip install schemathesis`; it is in no extra, as it brings much along) look for answers 5xx
and for answers that the document does not tell of. The exit code is that of schemathesis.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"

LEFT_OUT = "/events$|^/api/asyncflow/keys|^/api/token"
"""Streams that do not end; and keys, as with the first one every other request would be refused."""


def main() -> int:
    """Serve, ask, tell."""
    options = _options()
    tool = options.tool or shutil.which("schemathesis")
    if tool is None:
        sys.stderr.write("schemathesis is not installed\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "asyncflow", "serve", "--port", "0", "--db", "fuzz.db"]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            url = server.stdout.readline().rsplit(" ", 1)[-1].strip()
            try:
                found = subprocess.run(
                    [tool, *_arguments(url, options)], cwd=folder, check=False, timeout=options.seconds + 300
                ).returncode
            finally:
                server.terminate()
                ended = server.wait(60)
    sys.stdout.write(f"the server ended with {ended}\n")
    return found or ended


def _arguments(url: str, options: argparse.Namespace) -> list[str]:
    """A run of about so many seconds, over everything but `LEFT_OUT`."""
    return [
        "run",
        f"{url}/api/asyncflow/openapi.json",
        "--checks",
        CHECKS,
        "--max-time",
        str(options.seconds),
        "--exclude-path-regex",
        LEFT_OUT,
        "--workers",
        "4",
        "--continue-on-failure",
        "--request-timeout",
        "20",
        "--phases",
        "examples,coverage,fuzzing,stateful",
        *(["--report", "junit", "--report-junit-path", str(options.report)] if options.report else []),
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60, help="about how long; an issue asks for 600")
    parser.add_argument("--tool", help="path of the schemathesis command; default: the one on the PATH")
    parser.add_argument("--report", type=Path, help="write findings to this file, as JUnit")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
