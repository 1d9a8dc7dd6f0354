"""Payloads over the limit: stored in the payload folder, replaced by references, and put in again.

Within the limit nothing here is called. It decides what is stored; how files are written is
`runtime/payload_folder`, what a reference looks like `model/payload_reference`.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, cast

from pydantic_core import from_json, to_json

from asyncflow.errors import LimitExceeded, PayloadUnavailable
from asyncflow.model.limits import Limits
from asyncflow.model.payload_reference import (
    REFERENCE_BYTES,
    STORED_KEY,
    STORED_MARK,
    PayloadReference,
    parse_reference,
)
from asyncflow.model.values import JsonMapping, JsonObject, JsonValue
from asyncflow.runtime.payload_folder import PayloadFolder

# What is stored is never searched for references again, so a value that holds one is not stored: a
# chain of references could otherwise name any amount of data in a few bytes.


class Payloads:
    """What is too large for the journal, with a folder for it or without one.

    Attributes:
        folder: where it is stored; None refuses it by name.
        most_bytes: of an output or input, before anything of it is stored.
    """

    def __init__(self, folder: PayloadFolder | None, limits: Limits) -> None:
        """Read and write nothing yet."""
        self.folder, self._limits = folder, limits
        least = limits.payload_bytes
        self.most_bytes = least if folder is None else max(least, limits.stored_payload_bytes)

    async def open(self) -> None:
        """Make the folder, if there is one.

        Raises:
            ConfigurationError: it cannot be written to.
        """
        if self.folder is not None:
            await asyncio.to_thread(self.folder.open)

    async def accept(
        self, value: JsonObject, *, what: str = "task output", merged: bool = False
    ) -> JsonObject:
        """A value that somebody handed in, fit to be recorded: what is too much is stored, durably.

        Args:
            value: checked to be JSON; the caller gives it away, as parts of it are replaced.
            merged: it will be merged into another value member by member, and so cannot be stored whole.

        Raises:
            LimitExceeded: `payload_too_large` without a folder, or where storing does not make it fit;
                `stored_payload_bytes` above that limit.
            PayloadUnavailable: `payload_not_stored`.
        """
        size = len(to_json(value))
        if size <= self._limits.payload_bytes:
            return value
        return await self.store_excess(value, size, what=what, merged=merged)

    async def store_excess(
        self, value: JsonObject, size: int, *, what: str = "task output", merged: bool = False
    ) -> JsonObject:
        """The same for a value that is known to be over the limit, being of so many bytes."""
        folder = self.folder
        if folder is None:
            raise LimitExceeded(f"payload_too_large: {what}", allowed=self._limits.payload_bytes, actual=size)
        if size > self.most_bytes:
            raise LimitExceeded(
                f"payload_too_large: stored_payload_bytes: {what}", allowed=self.most_bytes, actual=size
            )
        excess = _Excess(folder, self._limits.payload_bytes, what)
        return await asyncio.to_thread(excess.store, value, size, merged=merged)

    async def hydrate(self, value: JsonValue) -> JsonValue:
        """The value with stored values in place of references, read and checked in a thread.

        Raises:
            PayloadUnavailable: one cannot be had; its code says why.
            LimitExceeded: `stored_payload_bytes`, all stored values together are more.
        """
        return await asyncio.to_thread(self._hydrate, value)

    async def hydrate_text(self, text: bytes) -> bytes:
        """JSON text with stored values in place of references; raises as `hydrate`."""
        return await asyncio.to_thread(self._hydrate_text, text) if STORED_MARK in text else text

    def _hydrate_text(self, text: bytes) -> bytes:
        return to_json(self._hydrate(from_json(text)))

    def _hydrate(self, value: JsonValue) -> JsonValue:
        return _Hydration(self.folder, self._limits.stored_payload_bytes).fill(value)


class _Excess:
    """One value that is too large, made to fit."""

    def __init__(self, folder: PayloadFolder, limit: int, what: str) -> None:
        self._folder, self._limit, self._what = folder, limit, what

    def store(self, value: JsonObject, size: int, *, merged: bool) -> JsonObject:
        """The value with its largest members stored, or as a whole where it has no large ones."""
        chosen = self._choose(value, size)
        if chosen is None:
            text = to_json(value)
            if merged or STORED_MARK in text:
                raise LimitExceeded(f"payload_too_large: {self._what}", allowed=self._limit, actual=size)
            return self._reference(value, text, self._folder.store([text])[0])
        names = self._folder.store(member.text for member in chosen)
        for (holder, key, text), name in zip(chosen, names, strict=True):
            holder[key] = self._reference(holder[key], text, name)
        return value

    def _choose(self, value: JsonObject, size: int) -> list[_Member] | None:
        """Which members to store so that the rest fits, the largest first; None where that cannot be.

        Nothing is stored before it is known that all of it fits: orphans cost room until they are pruned.
        """
        left = size
        chosen: list[_Member] = []
        for member in _by_size(value):
            if left <= self._limit or len(member.text) <= REFERENCE_BYTES:
                break
            narrow = self._narrow(member, left)
            if STORED_MARK not in narrow.text:
                chosen.append(narrow)
                left -= len(narrow.text) - REFERENCE_BYTES
        return chosen if left <= self._limit else None

    def _narrow(self, member: _Member, left: int) -> _Member:
        """The member, or a single one within it that makes the difference: a body, not the whole answer."""
        while True:
            value = member.holder[member.key]
            if not isinstance(value, dict) or not value or STORED_KEY in value:
                return member
            largest = _by_size(value)[0]
            if left - len(largest.text) + REFERENCE_BYTES > self._limit:
                return member
            member = largest

    def _reference(self, value: JsonValue, text: bytes, name: str) -> JsonObject:
        rows = len(value) if isinstance(value, list) else None
        return PayloadReference(name, len(text), rows, self._limit).to_json()


class _Member(NamedTuple):
    """One value in an object, and its JSON."""

    holder: JsonObject
    key: str
    text: bytes


def _by_size(value: JsonObject) -> list[_Member]:
    """The members of an object, the largest first."""
    members = [_Member(value, key, to_json(member)) for key, member in value.items()]
    return sorted(members, key=lambda member: len(member.text), reverse=True)


class _Hydration:
    """Stored values put in again, within a budget of bytes."""

    def __init__(self, folder: PayloadFolder | None, most_bytes: int) -> None:
        self._folder, self._left, self._most = folder, most_bytes, most_bytes

    def fill(self, value: JsonValue) -> JsonValue:
        """The value without references; parts without any are the same objects."""
        if isinstance(value, list):
            return [self.fill(member) for member in value]
        if not isinstance(value, dict):
            return value
        if STORED_KEY not in value:
            return {key: self.fill(member) for key, member in value.items()}
        loaded = self._load(value)
        beside = {key: self.fill(member) for key, member in value.items() if key != STORED_KEY}
        if not beside:
            return loaded
        if not isinstance(loaded, dict):
            raise PayloadUnavailable(
                "payload_reference_invalid", "members stand beside a reference to what is no object"
            )
        return {**loaded, **beside}

    def _load(self, value: JsonMapping) -> JsonValue:
        reference = parse_reference(value)
        if self._folder is None:
            raise PayloadUnavailable(
                "payload_folder_unset", f"{reference.sha256} is in a payload folder, and none is configured"
            )
        self._left -= reference.bytes
        if self._left < 0:
            raise LimitExceeded(
                "payload_too_large: stored_payload_bytes: stored values of one task", allowed=self._most
            )
        text = self._folder.load(reference)
        try:
            return cast("JsonValue", from_json(text))
        except ValueError as error:
            raise PayloadUnavailable("payload_corrupt", f"{reference.sha256} holds no JSON") from error
