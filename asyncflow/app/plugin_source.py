"""What the text of a plugin and its settings tell without running it: calls that block, secrets that show.

It is a look, no proof: the suites in `asyncflow.testing` hold up the loop's clock. Who asks is
`app/plugin_review`.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, SecretStr

_BLOCKING = frozenset({
    "time.sleep", "os.system", "os.popen", "os.waitpid", "urllib.request.urlopen", "socket.create_connection",
    "subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output",
})  # fmt: skip
_BLOCKING_MODULES = frozenset({"requests", "httplib2", "boto3", "psycopg2", "pymysql", "smtplib", "ftplib"})
_SENSITIVE = re.compile(r"pass(word|phrase)|secret|token|api_?key|credential|dsn", re.IGNORECASE)
_MARK = "asyncflow-secret-mark"


def module_file(found: object) -> Path | None:
    """The file that a class is written in; None where there is none."""
    try:
        file = inspect.getsourcefile(found) if isinstance(found, type) else None
    except (TypeError, OSError):
        return None
    return None if file is None else Path(file)


def blocking_calls(file: Path) -> Iterator[str]:
    """Calls within `async def` that are known to hold up the loop, each with its line."""
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    names = _imported(tree)
    seen: set[tuple[int, str]] = set()
    for function in ast.walk(tree):
        if isinstance(function, ast.AsyncFunctionDef):
            for call in _calls(function):
                said = _full_name(call.func, names)
                if _blocks(said) and (call.lineno, said) not in seen:
                    seen.add((call.lineno, said))
                    yield f"{file.name}, line {call.lineno}: {said} blocks everybody on the loop"


def _calls(function: ast.AsyncFunctionDef) -> Iterator[ast.Call]:
    """The calls of a coroutine function itself: functions within may run in a thread."""
    waiting: list[ast.AST] = [*function.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Call):
            yield node
        if not isinstance(node, ast.FunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def _blocks(name: str) -> bool:
    return name in _BLOCKING or name.partition(".")[0] in _BLOCKING_MODULES


def _imported(tree: ast.Module) -> dict[str, str]:
    """What names of the module stand for, by the imports."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                names[each.asname or each.name.partition(".")[0]] = (
                    each.name if each.asname else each.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return names


def _full_name(called: ast.expr, names: dict[str, str]) -> str:
    """`time.sleep` for what is called, whatever it was imported as; "" for what is no name."""
    parts: list[str] = []
    while isinstance(called, ast.Attribute):
        parts.append(called.attr)
        called = called.value
    if not isinstance(called, ast.Name) or called.id not in names:
        return ""
    return ".".join([names[called.id], *reversed(parts)])


def unhidden_secrets(found: object) -> Iterator[str]:
    """Settings that are secrets by their names, and shown by the `repr` of the settings."""
    model = getattr(found, "Config", None)
    if not isinstance(model, type) or not issubclass(model, BaseModel):
        return
    for name, field in model.model_fields.items():
        if _SENSITIVE.search(name) is None:
            continue
        kinds = (field.annotation, *get_args(field.annotation))
        if SecretStr not in kinds and _MARK in repr(model.model_construct(None, **{name: _MARK})):
            yield f"Config.{name} is shown by repr: make it a pydantic.SecretStr"
