"""Configuration read and merged: defaults, a file, the environment, options, the later the stronger.

Every value keeps where it came from. What is misspelt is refused with its name and the nearest one
there is, so that no setting is lost in silence; the shape itself is in `config`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from dataclasses import fields as fields_of
from pathlib import Path

from pydantic import BaseModel, ValidationError

from asyncflow.app.config import Config
from asyncflow.app.plugin_settings import shown_config
from asyncflow.app.resource_config import ResourceSection
from asyncflow.errors import ConfigurationError
from asyncflow.model.limits import Limits

PREFIX = "ASYNCFLOW_"
FILE = "asyncflow.toml"

OTHER_VARIABLES = frozenset({"ASYNCFLOW_CONFIG", "ASYNCFLOW_DATA", "ASYNCFLOW_SDKS", "ASYNCFLOW_SERVER"})
"""Variables with our prefix that are no settings: the file itself, the tests' data, the client's server.
Those of clients begin with `ASYNCFLOW_API_`."""

_CLIENTS = "ASYNCFLOW_API_"
_MOST_BYTES = 1 << 20

Nested = dict[str, object]
Name = tuple[str, ...]
"""A setting: its section, and the names below it."""


@dataclass(slots=True)
class Configured:
    """A configuration and where its values came from.

    Attributes:
        sources: by the parts of its name, for every value that is no default: a file, a variable, an option.
    """

    config: Config
    sources: dict[Name, str] = field(default_factory=dict)

    def values(self) -> Iterator[tuple[str, object, str]]:
        """Every value with its dotted name and its source, secrets by where they are."""
        for name, value in _leaves((), self.config):
            yield ".".join(name), value, self.sources.get(name, "default")


def configure(
    file: Path | None, environment: Mapping[str, str], options: Mapping[str, object] | None = None
) -> Configured:
    """The configuration that a file, an environment and options give together.

    Args:
        file: None takes that of the variable ASYNCFLOW_CONFIG, or `asyncflow.toml` here if it is there.
        options: by dotted name, those that were given on the command line.

    Raises:
        ConfigurationError: something is unknown, of the wrong type or out of bounds; names all of it.
    """
    merged: Nested = {}
    sources: dict[Name, str] = {}
    chosen = file or _default_file(environment)
    if chosen is not None:
        for name, value in _flat((), _read(chosen)):
            _put(merged, sources, name, value, str(chosen))
    for variable, name, text in _variables(environment, _named_in(merged)):
        _put(merged, sources, name, text.split(",") if name in _LISTS else text, variable)
    for option, value in (options or {}).items():
        _put(merged, sources, tuple(option.split(".")), value, "command line")
    try:
        return Configured(Config.model_validate(merged), sources)
    except ValidationError as error:
        raise ConfigurationError("; ".join(_faults(error, sources))) from None


def _default_file(environment: Mapping[str, str]) -> Path | None:
    named = environment.get("ASYNCFLOW_CONFIG")
    if named:
        return Path(named)
    here = Path(FILE)
    return here if here.is_file() else None


def _read(file: Path) -> Nested:
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from None
    if len(content) > _MOST_BYTES:
        raise ConfigurationError(f"{file}: larger than {_MOST_BYTES} bytes")
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{file}: not TOML: {error}") from None


# --- names ------------------------------------------------------------------------------------

_NO_WORD = re.compile(r"[^A-Za-z0-9]+")
# Sections whose keys the user chooses.
_NAMED = ("resources", "listeners", "secrets", "environment", "retention_of")


def _settings() -> dict[str, frozenset[str]]:
    """The names in each section that has fixed ones."""
    known = {}
    for section, info in Config.model_fields.items():
        if section in _NAMED:
            continue
        kind = info.annotation
        if kind is Limits:
            known[section] = frozenset(each.name for each in fields_of(Limits))
        else:
            assert isinstance(kind, type)
            assert issubclass(kind, BaseModel)
            known[section] = frozenset(kind.model_fields)
    return known


SETTINGS = _settings()
"""The names in each section that has fixed ones; variables can set these."""

_LISTS = frozenset({
    ("server", "hosts"), ("server", "origins"), ("http", "allow"), ("plugins", "disabled"),
})  # fmt: skip


def _named_in(merged: Nested) -> Iterator[Name]:
    """The engine's own settings of the resources that a file names, as far as one text can say them."""
    resources = merged.get("resources")
    for resource in resources if isinstance(resources, dict) else ():
        for name, field_of in ResourceSection.model_fields.items():
            if not isinstance(field_of.annotation, type) or not issubclass(field_of.annotation, BaseModel):
                yield "resources", str(resource), name


def _variables(environment: Mapping[str, str], more: Iterable[Name]) -> Iterator[tuple[str, Name, str]]:
    """Variables that are settings: each with the name of the setting and its text."""
    fixed: list[Name] = [(section, name) for section, names in SETTINGS.items() for name in names]
    known = {f"{PREFIX}{_NO_WORD.sub('_', '_'.join(name))}".upper(): name for name in (*fixed, *more)}
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES or variable.startswith(_CLIENTS):
            continue
        if variable not in known:
            raise ConfigurationError(f"{variable}: no such setting{_meant(variable, [*known])}")
        yield variable, known[variable], environment[variable]


def _meant(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {near[0]}?)" if near else ""


def _put(merged: Nested, sources: dict[Name, str], name: Name, value: object, source: str) -> None:
    place = merged
    *sections, key = name
    for section in sections:
        following = place.setdefault(section, {})
        if not isinstance(following, dict):
            raise ConfigurationError(f"{source}: {section}: a section is expected")
        place = following
    place[key] = value
    sources[name] = source


def _flat(prefix: Name, section: Nested) -> Iterator[tuple[Name, object]]:
    for key, value in section.items():
        name = (*prefix, key)
        if isinstance(value, dict) and value:
            yield from _flat(name, value)
        else:
            yield name, value


def _leaves(prefix: Name, value: object) -> Iterator[tuple[Name, object]]:
    if isinstance(value, BaseModel):
        own = {name: getattr(value, name) for name in type(value).model_fields}
        more = shown_config(value.model_extra or {})  # what may be a secret there is hidden
        assert isinstance(more, dict)
        parts: Mapping[str, object] = {**own, **more}
    elif isinstance(value, Limits):
        parts = {each.name: getattr(value, each.name) for each in fields_of(value)}
    elif isinstance(value, dict):
        parts = value
    else:
        yield prefix, value
        return
    for name, part in parts.items():
        yield from _leaves((*prefix, name), part)


def _faults(error: ValidationError, sources: Mapping[Name, str]) -> Iterator[str]:
    """What is wrong, each with its name and source; a value is never repeated, it may be a secret."""
    for fault in error.errors(include_url=False, include_input=False):
        name = tuple(str(part) for part in fault["loc"])
        source = next((said for each, said in sources.items() if each[: len(name)] == name), "")
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
            known = [*SETTINGS.get(name[0], ())] if len(name) > 1 else [*Config.model_fields]
            message = f"no such setting{_meant(name[-1], known)}"
        said = f"{'.'.join(name)}: {message}"
        yield f"{source}: {said}" if source else said
