"""A new package for a plugin, whose tests pass as it is: what its author changes is there to be changed.

It writes files and imports nothing of what it writes. The texts are in `plugins/templates`.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from string import Template

from asyncflow.errors import Conflict, InvalidInput
from asyncflow.plugins.registry import GROUPS, Kind

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_MOST_NAME = 50
_SUFFIX = {"resource": "Manager", "task": "Task", "listener": "Listener"}


def write_package(name: str, kind: Kind, folder: Path) -> list[Path]:
    """Write a package for a plugin of this kind into a new folder, and give its files.

    Args:
        name: small letters, digits and hyphens, such as `label-printer`.
        folder: where the folder `asyncflow-<name>` is made.

    Raises:
        InvalidInput: the name will not do.
        Conflict: there is something of that name already; nothing was written.
        OSError: the folder cannot be written to.
    """
    if not _NAME.fullmatch(name) or len(name) > _MOST_NAME:
        raise InvalidInput("small letters, digits and single hyphens, such as label-printer", field="name")
    top = folder / f"asyncflow-{name}"
    if top.exists():
        raise Conflict(f"{top} exists already")
    words = _words(name, kind)
    module = words["module"]
    files = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"src/{module}/__init__.py": f"{kind}/module.py",
        f"tests/test_{module.removeprefix('asyncflow_')}.py": f"{kind}/test.py",
    }
    texts = {place: _template(source).substitute(words) for place, source in files.items()}
    written = []
    for place, text in {**texts, f"src/{module}/py.typed": ""}.items():
        path = top / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _words(name: str, kind: Kind) -> dict[str, str]:
    parts = name.split("-")
    upper = "_".join(parts).upper()
    task_type = f"{upper}_JOB" if kind == "resource" else f"{upper}_TASK"
    return {
        "name": name,
        "title": " ".join(parts).capitalize(),
        "module": f"asyncflow_{'_'.join(parts)}",
        "class_name": "".join(part.capitalize() for part in parts) + _SUFFIX[kind],
        "group": next(group for group, each in GROUPS.items() if each == kind).partition(".")[2],
        "point": task_type if kind == "task" else name,
        "task_type": task_type,
    }


def _template(source: str) -> Template:
    file = resources.files("asyncflow.plugins") / "templates" / f"{source}.tmpl"
    return Template(file.read_text(encoding="utf-8"))
