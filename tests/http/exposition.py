"""Prometheus' text format, read as its server reads it: strictly, by its own grammar.

Where the library of Prometheus is installed its parser reads the same page too, and has to agree.
"""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec

Labels = tuple[tuple[str, str], ...]
Series = dict[str, dict[Labels, float]]

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? (\S+)")
_TYPE = re.compile(rf"# TYPE ({_NAME}) (counter|gauge|histogram|summary)")
_ENDINGS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
_ESCAPED = {'\\"': '"', "\\\\": "\\", "\\n": "\n"}


def read_exposition(text: str) -> Series:
    """All samples by name and labels; fails on anything that Prometheus would refuse."""
    assert text.endswith("\n")
    found: Series = {}
    typed: set[str] = set()
    allowed: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            continue
        kind = _TYPE.fullmatch(line)
        if kind is not None:
            name = kind[1]
            assert name not in typed, f"{name} is declared twice"
            typed.add(name)
            allowed = {name + ending for ending in _ENDINGS.get(kind[2], ("",))}
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample is not None, line
        assert sample[1] in allowed, f"{sample[1]} stands in another family"
        labels = tuple((key, _unescaped(value)) for key, value in re.findall(_LABEL, sample[2] or ""))
        assert len(dict(labels)) == len(labels), line
        series = found.setdefault(sample[1], {})
        assert labels not in series, f"{line} is there twice"
        series[labels] = float(sample[sample.re.groups])
    _read_by_library(text, found)
    return found


def _unescaped(text: str) -> str:
    return re.sub(r"\\.", lambda escape: _ESCAPED[escape[0]], text)


def _read_by_library(text: str, found: Series) -> None:
    if find_spec("prometheus_client") is None:
        return
    read = import_module("prometheus_client.parser").text_string_to_metric_families
    theirs = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in read(text)
        for sample in family.samples
    }
    ours = {(n, frozenset(labels)): value for n, series in found.items() for labels, value in series.items()}
    assert theirs == ours
