"""Modules that a command needs only when it works, not when it says how it is used.

Importing the engine costs a quarter of a second, which `asyncflow run --help` would spend for
nothing. A command imports such a module for the type checker, and for itself has it from here.
"""

from __future__ import annotations

from importlib import import_module


class Late:
    """Stands for a module, and imports it when something of it is asked for."""

    def __init__(self, module: str) -> None:
        """Import nothing yet."""
        self._module = module

    def __getattr__(self, name: str) -> object:
        """What the module has under this name."""
        return getattr(import_module(self._module), name)
