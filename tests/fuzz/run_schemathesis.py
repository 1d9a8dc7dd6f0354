"""Ask a real server everything that its OpenAPI document allows, and much that it does not.

`make fuzz`, or `python tests/fuzz/run_schemathesis.py [--seconds 600]` with the extra `fuzz` installed, has
schemathesis look for answers 5xx and for answers that the document does not tell of: `--seconds` long as an
admin, on every route but streams that do not end; then a tenth as long each on a server without keys, and
without a key on one that has some. A run counts only if it met what it should have met, so it fails where
requests were refused for want of a key. What was asked and answered is told as the server counted it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.fuzz.planting import VARIABLE, Planter  # noqa: E402 - the checkout has to be found first

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"

STREAMS = "^/api/asyncflow/(workflow/[^/]+/)?events$"
FIRST_KEY = "^/api/asyncflow/keys"
"""On a server without keys the first one ends the run for everybody else: that is its purpose."""

SHORTEST_S = 5
_ANSWERS = re.compile(
    r'^asyncflow_http_requests_total\{method="(?P<method>[^"]*)",route="(?P<route>[^"]*)",'
    r'status="(?P<status>\d+)"\} (?P<count>\d+)'
)

Answers = dict[tuple[str, str, int], int]


@dataclass(frozen=True)
class Phase:
    """One run of the tool, on a server of its own.

    Attributes:
        locked: the server asks for keys.
        admin: requests carry an admin's key; without keys everybody is one.
    """

    name: str
    seconds: int
    locked: bool
    admin: bool
    left_out: str = STREAMS


def phases(seconds: int) -> tuple[Phase, ...]:
    """What a run of about so many seconds consists of; the first one takes them all."""
    short = max(SHORTEST_S, seconds // 10)
    return (
        Phase("an admin, with a key", seconds, locked=True, admin=True),
        Phase("anybody, on a server without keys", short, False, True, f"{STREAMS}|{FIRST_KEY}"),
        Phase("a stranger, on a server with keys", short, locked=True, admin=False),
    )


def main() -> int:
    """Serve, ask, tell, phase by phase; 0 if no phase found anything and each was worth its name."""
    options = _options()
    tool = options.tool or shutil.which("schemathesis", path=Path(sys.executable).parent) or "schemathesis"
    if shutil.which(tool) is None:
        sys.stderr.write("schemathesis is not installed: pip install -c constraints.txt -e '.[fuzz]'\n")
        return 2
    failed = [each.name for each in phases(options.seconds) if not _run(each, tool, options)]
    sys.stdout.write(f"\nfailed: {'; '.join(failed)}\n" if failed else "\nno phase found anything\n")
    return 1 if failed else 0


def _run(phase: Phase, tool: str, options: argparse.Namespace) -> bool:
    sys.stdout.write(f"\n{'=' * 100}\n{phase.name}, {phase.seconds} s\n{'=' * 100}\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = _key(folder) if phase.locked else {}
        headers = {"Authorization": f"Bearer {own['key']}"} if own else {}
        faults: list[str] = []
        with _serving(folder, faults) as url:
            (folder / "known.json").write_text(json.dumps(_known(Planter(url, headers), own)), "utf-8")
            found = subprocess.run(
                [tool, *_arguments(url, phase, options), *_credentials(phase, headers)],
                cwd=folder,
                env=_environment(folder, own),
                check=False,
                timeout=phase.seconds * 2 + 300,
            ).returncode
            answers = _answers(Planter(url, headers).send("GET", "/metrics"))
    faults += [*_faults(phase, answers), *([f"schemathesis ended with {found}"] if found else [])]
    sys.stdout.write(_told(phase, answers) + "".join(f"FAULT: {each}\n" for each in faults))
    sys.stdout.flush()
    return not faults


# --- the server -----------------------------------------------------------------------------------


def _asyncflow(*words: str) -> list[str]:
    return [sys.executable, "-m", "asyncflow", *words]


def _key(folder: Path) -> dict[str, str]:
    """The first key of the file: from here on callers need one."""
    words = _asyncflow("key", "create", "fuzzer", "--role", "admin", "--db", "fuzz.db", "-o", "json")
    made = json.loads(subprocess.run(words, cwd=folder, check=True, capture_output=True).stdout)
    return {name: str(made[name]) for name in ("id", "secret", "key")}


def _known(planter: Planter, own: dict[str, str]) -> dict[str, object]:
    found = planter.plant()
    bodies = found["bodies"]
    if own and isinstance(bodies, dict):
        bodies["POST /api/token"] = [{"keyId": own["id"], "keySecret": own["secret"]}]
    return found


@contextmanager
def _serving(folder: Path, faults: list[str]) -> Iterator[str]:
    """A server for as long as it is needed; `faults` get what it logged of bugs, and a disorderly end."""
    words = _asyncflow("serve", "--port", "0", "--db", "fuzz.db")
    (folder / "asyncflow.toml").write_text(f'[environment]\n{VARIABLE} = "north"\n', "utf-8")
    log = folder / "serve.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True) as server,
    ):
        assert server.stdout is not None
        line = server.stdout.readline()
        try:
            if not line:
                raise RuntimeError(f"the server did not start: {log.read_text('utf-8')}")
            yield line.rsplit(" ", 1)[-1].strip()
        finally:
            server.terminate()
            ended = server.wait(60)
    faults += [each for each in log.read_text("utf-8").splitlines() if "while answering a request" in each]
    if ended:
        faults.append(f"the server ended with {ended}")


# --- the tool -------------------------------------------------------------------------------------


def _arguments(url: str, phase: Phase, options: argparse.Namespace) -> list[str]:
    report = options.report and options.report.with_stem(f"{options.report.stem}-{phase.name.split(',')[0]}")
    return [
        "run",
        f"{url}/api/asyncflow/openapi.json",
        "--checks",
        CHECKS,
        "--max-time",
        str(phase.seconds),
        "--exclude-path-regex",
        phase.left_out,
        "--workers",
        "1",  # more are threads that share a core, and CPython's `ast` cannot be used by two at a time
        "--continue-on-failure",
        "--request-timeout",
        "20",
        "--phases",
        "examples,coverage,fuzzing,stateful",
        "--warnings",
        "off",
        *(["--seed", str(options.seed)] if options.seed is not None else []),
        *(["--report", "junit", "--report-junit-path", str(report.resolve())] if report else []),
    ]


def _credentials(phase: Phase, headers: dict[str, str]) -> list[str]:
    """As an admin with none that are made up; they would go before the good ones."""
    if not phase.admin:
        return []
    given = [word for name, value in headers.items() for word in ("-H", f"{name}:{value}")]
    return ["--generation-with-security-parameters", "false", *given]


def _environment(folder: Path, own: dict[str, str]) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "SCHEMATHESIS_HOOKS": "known_things",
        "ASYNCFLOW_FUZZ_KNOWN": str(folder / "known.json"),
        "ASYNCFLOW_FUZZ_OWN_KEY": own.get("id", ""),
    }


# --- what the server says ---------------------------------------------------------------------------


def _answers(metrics: str) -> Answers:
    """How often each route gave each status, with those that planted things."""
    found = filter(None, map(_ANSWERS.match, metrics.splitlines()))
    return {(each["method"], each["route"], int(each["status"])): int(each["count"]) for each in found}


def _faults(phase: Phase, answers: Answers) -> list[str]:
    """Why a run is not worth its name, or what it found besides."""
    faults = [f"{method} {route} gave {status}" for method, route, status in answers if status >= 500]
    refused = {route for _, route, status in answers if status in {401, 403}} - {"/api/token"}
    if phase.admin and refused:
        faults.append(f"refused for want of credentials: {', '.join(sorted(refused))}")
    if not phase.admin and not refused:
        faults.append("nobody was refused")
    return faults


def _told(phase: Phase, answers: Answers) -> str:
    statuses: Counter[int] = Counter()
    for (_, _, status), count in answers.items():
        statuses[status] += count
    asked = {(method, route) for method, route, _ in answers}
    served = {(method, route) for method, route, status in answers if status < 300}
    never = sorted(f"{method} {route}" for method, route in asked - served) if phase.admin else []
    counts = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    listed = "".join(f"  never: {each}\n" for each in never)
    return (
        f"the server answered {statuses.total()} requests: {counts}\n"
        f"{len(served)} of {len(asked)} routes answered 2xx\n{listed}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=600, help="how long as an admin; default: 600")
    parser.add_argument("--tool", help="the schemathesis command; default: beside this Python")
    parser.add_argument("--report", type=Path, help="write findings to files of about this name, as JUnit")
    parser.add_argument("--seed", type=int, help="of the tool; default: another one each time")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
