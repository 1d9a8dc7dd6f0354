"""What tells the code of task functions from other code: journal files say it, and it is compared later.

It reads the text of functions and runs nothing. Who compares is `app/recover_changed`.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Mapping


def fingerprints(functions: Mapping[str, Callable[..., object]]) -> dict[str, str]:
    """The fingerprints of functions by task name, of those that have any."""
    found = {name: fingerprint(function) for name, function in functions.items()}
    return {name: text for name, text in found.items() if text}


def fingerprint(function: Callable[..., object]) -> str:
    """What tells the text of a function from another one; empty where there is none.

    Comments, layout and decorators do not count, nor does what the function calls.
    """
    try:
        text = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    except (OSError, TypeError):
        return ""
    try:
        tree = ast.parse(text)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                node.decorator_list = []
        text = ast.dump(tree)
    except SyntaxError:
        pass  # a piece of a line, such as a lambda in a call
    return hashlib.sha256(text.encode()).hexdigest()[:16]
