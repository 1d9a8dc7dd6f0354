"""Reads fields of foreign JSON documents and gathers every fault found, with its path.

It judges types and presence, never meaning: that is for the importer of the format. The faults
end as one `DefinitionError`, so that one round of corrections is enough.
"""

from __future__ import annotations

from collections.abc import Mapping

from asyncflow.errors import DefinitionError, Violation
from asyncflow.model.shape import shown

_MOST_REPORTED = 50
_LARGEST = 1e300


class Faults:
    """The faults found so far in one document."""

    def __init__(self) -> None:
        """Start without any."""
        self._found: list[Violation] = []

    def add(self, path: str, message: str) -> None:
        """Record one fault."""
        self._found.append(Violation(path, message))

    def raise_any(self) -> None:
        """Do nothing if no fault was found.

        Raises:
            DefinitionError: with the first faults, and the number of those left out.
        """
        if not self._found:
            return
        shown = self._found[:_MOST_REPORTED]
        if len(self._found) > len(shown):
            shown.append(Violation("", f"and {len(self._found) - len(shown)} more faults"))
        raise DefinitionError(shown)

    def object_at(self, holder: Mapping[str, object], key: str, path: str) -> Mapping[str, object]:
        """The object under the key; an empty one, and a fault if it is there but no object."""
        value = holder.get(key)
        if isinstance(value, Mapping):
            return value
        if value is not None:
            self.add(f"{path}.{key}", f"must be an object, is {_kind(value)}")
        return {}

    def list_at(self, holder: Mapping[str, object], key: str, path: str) -> list[object]:
        """The list under the key; an empty one, and a fault if it is there but no list."""
        value = holder.get(key)
        if isinstance(value, list):
            return value
        if value is not None:
            self.add(f"{path}.{key}", f"must be a list, is {_kind(value)}")
        return []

    def objects_at(
        self, holder: Mapping[str, object], key: str, path: str
    ) -> list[tuple[str, Mapping[str, object]]]:
        """The objects in the list under the key, each with its path; a fault for any other element."""
        found: list[tuple[str, Mapping[str, object]]] = []
        for index, value in enumerate(self.list_at(holder, key, path)):
            where = f"{path}.{key}[{index}]"
            if isinstance(value, Mapping):
                found.append((where, value))
            else:
                self.add(where, f"must be an object, is {_kind(value)}")
        return found

    def texts_at(self, holder: Mapping[str, object], key: str, path: str) -> list[str]:
        """The texts in the list under the key, numbers as text; a fault for any other element."""
        found: list[str] = []
        for index, value in enumerate(self.list_at(holder, key, path)):
            if isinstance(value, str):
                found.append(value)
            elif isinstance(value, int | float) and not isinstance(value, bool):
                found.append(str(value))
            else:
                self.add(f"{path}.{key}[{index}]", f"must be a text, is {_kind(value)}")
        return found

    def text_at(self, holder: Mapping[str, object], key: str, path: str) -> str:
        """The text under the key; an empty one if it is absent, with a fault if it is no text."""
        value = holder.get(key)
        if isinstance(value, str):
            return value
        if value is not None:
            self.add(f"{path}.{key}", f"must be a text, is {_kind(value)}")
        return ""

    def number_at(self, holder: Mapping[str, object], key: str, path: str) -> float | None:
        """The number under the key, None if absent; a fault unless it is finite and not negative."""
        value = holder.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.add(f"{path}.{key}", f"must be a number, is {_kind(value)}")
            return None
        if not 0 <= value <= _LARGEST:  # compared, not converted: an integer may be too large for a double
            self.add(f"{path}.{key}", f"must be a finite number of at least 0, is {shown(value)}")
            return None
        return value


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "an object"
    names = {list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "a number")


def refuse(path: str, message: str) -> DefinitionError:
    """The error for a fault after which reading on makes no sense."""
    return DefinitionError([Violation(path, message)])
