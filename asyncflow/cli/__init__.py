"""The command line: arguments in, one command of `app` or `convert`, a result on stdout.

No command decides anything or knows SQLite, and this module imports no command before it is used,
so that `--help` costs little. Read `root` next.
"""

from __future__ import annotations

from asyncflow.cli.root import cli, main

__all__ = ["cli", "main"]
