"""JSONPath in Jayway's dialect, as Conductor's expressions use it: compiled once, then evaluated.

Pure, bounded in work, depth and results, and free of backtracking. Read `parser` for the syntax,
`evaluator` for the meaning.
"""

from __future__ import annotations

from asyncflow.decide.jsonpath.evaluator import Evaluation, RootLookup, walk_plain
from asyncflow.decide.jsonpath.parser import compile_path
from asyncflow.decide.jsonpath.steps import MISSING, JsonPath, JsonPathError, Missing, Step

__all__ = [
    "MISSING",
    "Evaluation",
    "JsonPath",
    "JsonPathError",
    "Missing",
    "RootLookup",
    "Step",
    "compile_path",
    "walk_plain",
]
