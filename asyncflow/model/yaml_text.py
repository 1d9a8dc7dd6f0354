"""YAML text to JSON values: the parser's events, no tags, no objects, no types of YAML 1.1.

It is built on events alone, so neither depth nor aliases cost more than the bounds allow. Only
`model/documents.py` calls it; read there what the dialect is.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

import yaml

from asyncflow.errors import InvalidInput, LimitExceeded
from asyncflow.model.json_values import Bounds, text_fault
from asyncflow.model.shape import shown

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is there: ten times as fast
_TAGS = {
    yaml.ScalarEvent: {None, "!", "tag:yaml.org,2002:str"},
    yaml.SequenceStartEvent: {None, "!", "tag:yaml.org,2002:seq"},
    yaml.MappingStartEvent: {None, "!", "tag:yaml.org,2002:map"},
}
_WORDS: dict[str, object] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


@dataclass(slots=True)
class _Node:
    """A value with the size it would have if every alias in it were written out, and its height."""

    value: object
    size: int
    height: int = 0


@dataclass(slots=True)
class _Frame:
    """A container that is being filled."""

    node: _Node
    anchor: str | None
    key: str | None = None


@dataclass(slots=True)
class _Builder:
    """The values made of the events so far."""

    bounds: Bounds
    frames: list[_Frame] = field(default_factory=list)
    anchors: dict[str, _Node | None] = field(default_factory=dict)
    root: _Node | None = None
    aliased: int = 0

    def take(self, event: yaml.Event) -> None:
        """Goes on by one event."""
        match event:
            case yaml.ScalarEvent():
                self._check_tag(event)
                is_key = self._awaits_key()
                node = _Node(_scalar(event, self.bounds, is_key=is_key), len(event.value) + 1)
                if event.anchor:
                    self.anchors[event.anchor] = node
                self._place(node, event)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._open(event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                frame = self.frames.pop()
                if frame.anchor:
                    self.anchors[frame.anchor] = frame.node
                self._place(frame.node, event)
            case yaml.AliasEvent():
                self._repeat(event)
            case yaml.DocumentStartEvent() if self.root is not None:
                raise InvalidInput(f"one document only, another begins at {_mark(event)}")
            case _:
                pass

    def _awaits_key(self) -> bool:
        return bool(self.frames) and self.frames[-1].key is None and type(self.frames[-1].node.value) is dict

    def _check_tag(self, event: yaml.NodeEvent) -> None:
        tag = getattr(event, "tag", None)
        if tag not in _TAGS[type(event)]:
            raise InvalidInput(f"a tag is not JSON: {shown(tag)} at {_mark(event)}")

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        self._check_tag(event)
        if self._awaits_key():
            raise InvalidInput(f"a key must be text, at {_mark(event)}")
        if len(self.frames) >= self.bounds.depth:
            raise LimitExceeded(self.bounds.depth_limit, allowed=self.bounds.depth)
        if event.anchor:
            self.anchors[event.anchor] = None  # not complete: an alias to it would be a cycle
        value: object = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.frames.append(_Frame(_Node(value, 2, 1), event.anchor))

    def _repeat(self, event: yaml.AliasEvent) -> None:
        name = event.anchor or ""
        node = self.anchors.get(name)
        if node is None:
            what = "an alias within what it repeats" if name in self.anchors else "an unknown alias"
            raise InvalidInput(f"{what}: {shown(name)} at {_mark(event)}")
        self.aliased += node.size
        if self.aliased > self.bounds.size:
            raise LimitExceeded(self.bounds.size_limit, allowed=self.bounds.size)
        if len(self.frames) + node.height > self.bounds.depth:
            raise LimitExceeded(self.bounds.depth_limit, allowed=self.bounds.depth)
        self._place(node, event)

    def _place(self, node: _Node, event: yaml.Event) -> None:
        """Puts a complete value where it belongs."""
        if not self.frames:
            self.root = node
            return
        frame = self.frames[-1]
        frame.node.size += node.size
        frame.node.height = max(frame.node.height, node.height + 1)
        container = frame.node.value
        if isinstance(container, list):
            container.append(node.value)
        elif frame.key is None:
            frame.key = _key(node.value, container, event)
        elif isinstance(container, dict):
            container[frame.key], frame.key = node.value, None


def parse_yaml(text: str, bounds: Bounds) -> object:
    """The value of the YAML text; the errors are those of `parse_document`."""
    builder = _Builder(bounds)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" at line {mark.line + 1} column {mark.column + 1}" if mark else ""
        raise InvalidInput(f"not YAML: {error.problem or error.context}{place}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # odd characters and escapes
        raise InvalidInput(f"not YAML: {error}") from None
    if builder.root is None:
        raise InvalidInput("holds no document")
    return builder.root.value


def _scalar(event: yaml.ScalarEvent, bounds: Bounds, *, is_key: bool) -> object:
    text = event.value
    fault = text_fault(text, nul=True)
    if fault is not None:
        raise InvalidInput(f"{fault} at {_mark(event)}")
    if is_key and text == "<<" and event.implicit[0]:
        raise InvalidInput(f"merge keys (<<) are not taken, at {_mark(event)}")
    if is_key or not event.implicit[0]:  # a key, or quoted, or tagged as text
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text):
        return _number(event, bounds)
    if _NO_NUMBER.fullmatch(text):
        raise InvalidInput(f"not a finite number: {text} at {_mark(event)}")
    return text


def _number(event: yaml.ScalarEvent, bounds: Bounds) -> object:
    text = event.value
    if _INTEGER.fullmatch(text):
        digits = len(text.lstrip("-"))
        if digits > bounds.digits:
            raise LimitExceeded("integer_digits", allowed=bounds.digits, actual=digits)
        return int(text)
    number = float(text)
    if math.isinf(number):
        raise InvalidInput(f"not a finite number: {shown(text)} at {_mark(event)}")
    return number


def _key(value: object, container: object, event: yaml.Event) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"a key must be text, at {_mark(event)}")
    if isinstance(container, dict) and value in container:
        raise InvalidInput(f"duplicate key {shown(value)} at {_mark(event)}")
    return value


def _mark(event: yaml.Event) -> str:
    mark = event.start_mark
    return f"line {mark.line + 1} column {mark.column + 1}" if mark else "an unknown place"
