"""Where a function can be found again: by module, file and qualified name, so that another process can.

Nothing is pickled: what cannot be named this way is refused with the reason. Read `process_executor` for
who asks and `process_child` for who looks.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import runpy
import sys
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import NamedTuple, cast

from asyncflow.errors import InvalidInput

MAIN = "__main__"
DISTANT_MAIN = "__mp_main__"
"""What `__name__` is in a script taken up by another process: the name `multiprocessing` gave it too."""


class FunctionLocation(NamedTuple):
    """A function's address: its module, the module's file (empty if it has none), its qualified name."""

    module: str
    file: str
    qualname: str

    @property
    def label(self) -> str:
        """The function as a person would name it."""
        return f"{self.module}.{self.qualname}"


@lru_cache(maxsize=4096)
def location_of(function: Callable[..., object]) -> FunctionLocation:
    """Where another process finds the function.

    Raises:
        InvalidInput: it is a lambda, a closure, a callable object or was typed at a prompt; the message
            says which and what to do.
    """
    module_name: str = getattr(function, "__module__", None) or ""
    qualname: str = getattr(function, "__qualname__", None) or ""
    if not module_name or not qualname:
        raise _unreachable(repr(function), "it is no plain function")
    label = f"{module_name}.{qualname}"
    if "<" in qualname:
        kind = "a lambda" if qualname.endswith("<lambda>") else "defined inside another function"
        raise _unreachable(label, f"it is {kind}")
    module = sys.modules.get(module_name)
    if module is None or not _is_same(_member(module, qualname), function):
        raise _unreachable(label, "its module has something else, or nothing, under this name")
    path = getattr(module, "__file__", None)
    file = os.path.abspath(path) if path else ""  # noqa: PTH100
    if module_name != MAIN:
        return FunctionLocation(module_name, file, qualname)
    spec = module.__spec__
    if spec is not None and not spec.name.endswith(MAIN):  # `python -m package.module`
        return FunctionLocation(spec.name, file, qualname)
    if not os.path.isfile(file):  # noqa: PTH113
        raise _unreachable(label, "the main module has no file")
    return FunctionLocation(MAIN, file, qualname)


def load_function(location: FunctionLocation) -> Callable[..., object]:
    """The function at this address, its module imported if need be.

    A script is run under the name `__mp_main__`, so what it guards by `__name__ == "__main__"` is not.

    Raises:
        InvalidInput: the module has no such function now.
        Exception: whatever the import raised.
    """
    found = _member(_module(location), location.qualname)
    if not callable(found):
        raise InvalidInput("there is no such function", field=location.label)
    return cast("Callable[..., object]", found)


def _module(location: FunctionLocation) -> ModuleType:
    name = DISTANT_MAIN if location.module == MAIN else location.module
    loaded = sys.modules.get(name)
    if loaded is not None:
        return loaded
    if name == DISTANT_MAIN:
        return _script(location.file)
    if location.file and _origin(name) != location.file:
        return _from_file(name, location.file)
    return importlib.import_module(name)


def _origin(name: str) -> str:
    """The file an import of the name would load, empty if none."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # no such parent, or one that is no package
        return ""
    return "" if spec is None or spec.origin is None else os.path.abspath(spec.origin)  # noqa: PTH100


def _from_file(name: str, file: str) -> ModuleType:
    """A module that was loaded by its path and that no import would find."""
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        return importlib.import_module(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _script(file: str) -> ModuleType:
    module = ModuleType(DISTANT_MAIN)
    sys.path.insert(0, os.path.dirname(file))  # noqa: PTH120  # what running it as a script did
    module.__dict__.update(runpy.run_path(file, run_name=DISTANT_MAIN))
    sys.modules[DISTANT_MAIN] = sys.modules[MAIN] = module
    return module


def _member(module: ModuleType, qualname: str) -> object:
    found: object = module
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found


def _is_same(found: object, function: Callable[..., object]) -> bool:
    """Whether the name leads to the function, be it through decorators that say what they wrap."""
    return callable(found) and inspect.unwrap(found) is inspect.unwrap(function)


def _unreachable(label: str, reason: str) -> InvalidInput:
    return InvalidInput(
        f'executor="process" needs a function at the top level of a module or script, and {reason}',
        field=label,
    )
