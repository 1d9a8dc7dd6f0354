"""Names and texts of foreign files made fit for definitions: references, expressions, literals.

It knows Conductor's rules for reference names and `${...}` and nothing of any foreign format.
The importers (`wfformat`, `hyperflow`) and the exporter (`conductor`) all name tasks through it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_UNFIT = re.compile(r"[^A-Za-z0-9]+")
_UNFIT_IN_NAMES = re.compile(r"[^A-Za-z0-9_<>{}# -]+")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_MARKS = re.compile(r"[${}]")  # would begin or end an expression within the one around the path
_RESERVED = ("workflow", "CPEWF_TASK_ID")  # roots of expressions that are not tasks


class ReferenceNames:
    """Hands out reference names that are unique in one definition.

    The names hold only letters, digits and single underscores: dots and brackets are path
    syntax in expressions, and loops split a reference at its first double underscore.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        """Start with the names that a definition uses already."""
        self._taken = {*_RESERVED, *taken}
        self._last: dict[str, int] = {}

    def claim(self, wanted: str) -> str:
        """The wanted name if it is fit and free, else the nearest that is; never given twice."""
        stem = escape_reference(wanted)
        name, number = stem, self._last.get(stem, 1)
        while name in self._taken:
            number += 1
            name = f"{stem}_{number}"
        self._last[stem] = number
        self._taken.add(name)
        return name


def escape_reference(text: str) -> str:
    """The text with everything a reference name must not hold turned into single underscores."""
    stem = _UNFIT.sub("_", text).strip("_")
    if not stem:
        return "task"
    return f"t_{stem}" if stem[0].isdigit() else stem


def definition_name(text: str) -> str:
    """The text as a definition name that also passes Conductor's optional name check."""
    return _UNFIT_IN_NAMES.sub("_", text).strip() or "imported"


def path_to(root: str, *keys: str | int) -> str:
    """The path below a root, keys that are no identifiers in brackets: `a.output['b c'][0]`."""
    parts = [root]
    for key in keys:
        if isinstance(key, int):
            parts.append(f"[{key}]")
        elif _PLAIN_KEY.match(key):
            parts.append(f".{key}")
        else:
            quoted = key.replace("\\", "\\\\").replace("'", "\\'")
            quoted = _MARKS.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
            parts.append(f"['{quoted}']")
    return "".join(parts)


def expression(path: str) -> str:
    """The expression that stands for the value at the path."""
    return "${" + path + "}"


def literal(value: object) -> object:
    """A copy of a JSON value in which no text is taken for an expression when inputs are resolved."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, Mapping):
        return {key: literal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [literal(item) for item in value]
    return value
