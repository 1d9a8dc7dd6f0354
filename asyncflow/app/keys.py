"""The API keys of an engine: made, revoked, and asked for whenever somebody calls.

They are documents of the catalogue, so a change is durable before it is answered and holds at once. No
secret is kept or shown again; how a key is made and compared is in `key_records`, tokens in `tokens`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from asyncflow.app.callers import Caller, Role
from asyncflow.app.documents import Documents
from asyncflow.app.key_records import KIND, KeyRecord, NewKey, check_new, new_key, split_key
from asyncflow.app.logbook import AuditEntry, AuditFilter, Logbook
from asyncflow.app.tokens import LIFE_MS, TokenMint, looks_like_token
from asyncflow.errors import LimitExceeded, NotFound, Refused, Unauthenticated
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine

USE: Final = "use"
"""The action of the audit's entry that tells that a key was used; one an hour at most."""

_MOST_KEYS = 1_000
_TOLD_EVERY_MS = 3_600_000
_MOST_CHARACTERS = 4_096


class Keys:
    """Who may call.

    Once there was a key, callers need one for good, also when all are revoked or have expired: the way
    back is a key made on the file.
    """

    def __init__(self, engine: Engine, logbook: Logbook) -> None:
        """Serve this engine, which is open."""
        self._engine, self._logbook = engine, logbook
        self._documents = Documents(engine, KIND)
        self._mint = TokenMint(f"asyncflow:{engine.settings.installation}")
        self._records: dict[str, tuple[JsonObject, KeyRecord]] = {}
        self._used_ms: dict[str, int] = {}
        self._told_ms: dict[str, int] = {}
        self._changing = asyncio.Lock()  # what is checked of all keys holds until the change is durable

    # --- who calls --------------------------------------------------------------------------------

    @property
    def is_required(self) -> bool:
        """Whether callers need credentials; without, everybody is `ANONYMOUS`."""
        return bool(self._documents.all())

    def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """The caller, by a key or a token in `X-Authorization` or `Authorization: Bearer`.

        Args:
            headers: names are found in any case.

        Raises:
            Unauthenticated: credentials are missing, unknown, revoked or expired.
        """
        given = _credentials(headers)
        if not given:
            raise Unauthenticated("credentials are missing", error="MISSING_TOKEN")
        if len(given) > _MOST_CHARACTERS:
            raise Unauthenticated("the credentials are too long to be any")
        if looks_like_token(given):
            return self._by_token(given)
        parts = split_key(given)
        if parts is None:
            raise Unauthenticated("the credentials are neither a key nor a token")
        return self._caller(self._proven(*parts), 0)

    def _by_token(self, token: str) -> Caller:
        claims = self._mint.verify(token, now_ms=self._now_ms())
        record = self._find(claims.subject)
        if record is None or record.state(self._now_ms()) != "active":
            raise Unauthenticated("the key of the token is not good any more", key_id=claims.subject)
        return self._caller(record, claims.expires_ms)

    def _proven(self, key_id: str, secret: str) -> KeyRecord:
        record = self._find(key_id)
        if record is None or not record.fits(secret):
            raise Unauthenticated("the key is unknown", error="INVALID_CREDENTIALS")
        state = record.state(self._now_ms())
        if state != "active":
            raise Unauthenticated(f"the key is {state}", error="INVALID_CREDENTIALS", key_id=key_id)
        return record

    def _caller(self, record: KeyRecord, expires_ms: int) -> Caller:
        now_ms = self._now_ms()
        self._used_ms[record.key_id] = now_ms
        if now_ms - self._told_ms.get(record.key_id, -_TOLD_EVERY_MS) >= _TOLD_EVERY_MS:
            self._told_ms[record.key_id] = now_ms
            role = record.role.name.lower()
            self._engine.logs.put(AuditEntry(now_ms, record.name, role, USE, "key", record.key_id))
        return Caller(record.name, record.role, record.key_id, _first(expires_ms, record.expires_ms))

    def still_holds(self, caller: Caller) -> bool:
        """Whether the credentials of a caller that was let in are good still."""
        now_ms = self._now_ms()
        if not caller.key_id:
            return not self.is_required
        record = self._find(caller.key_id)
        is_over = caller.expires_ms and caller.expires_ms <= now_ms
        return not is_over and record is not None and record.state(now_ms) == "active"

    # --- tokens -----------------------------------------------------------------------------------

    def token(self, key_id: str, secret: str) -> str:
        """A token for a key, good for an hour or until the key expires.

        Raises:
            Unauthenticated: there is no such key, or this is not its secret.
        """
        record = self._proven(key_id, secret)
        self._caller(record, 0)
        now_ms = self._now_ms()
        expires_ms = _first(now_ms + LIFE_MS, record.expires_ms)
        return self._mint.issue(key_id, now_ms=now_ms, expires_ms=expires_ms)

    # --- keys -------------------------------------------------------------------------------------

    async def create(self, name: str, role: str, *, expires_ms: int = 0, created_by: str = "") -> NewKey:
        """Make a key, durable at return; its secret is in what is returned and nowhere else.

        Raises:
            InvalidInput: the name, the role or the end is none, or the first key is of no admin.
            Conflict: a key of this name is good still.
            LimitExceeded: there are 1,000 keys that are good still.
        """
        made = new_key(name, role, now_ms=self._now_ms(), expires_ms=expires_ms, created_by=created_by)
        async with self._changing:
            check_new(made.record, self._all())
            await self._make_room()
            await self._save(made.record, created_by)
        return made

    async def revoke(self, key_id: str, *, revoked_by: str = "") -> KeyRecord:
        """End a key: who uses it, or a token got with it, is refused from here on; durable at return.

        Raises:
            NotFound: there is none.
            Refused: it is the last admin's.
        """
        async with self._changing:
            record = self.get(key_id)
            if record.revoked_ms:
                return record
            admins = [each for each in self._active() if each.role is Role.ADMIN]
            if admins == [record]:
                raise Refused("it is the last key of an admin; make another one first")
            revoked = replace(record, revoked_ms=self._now_ms(), revoked_by=revoked_by)
            await self._save(revoked, revoked_by)
        return revoked

    def get(self, key_id: str) -> KeyRecord:
        """What is stored of a key.

        Raises:
            NotFound: there is none.
        """
        record = self._find(key_id)
        if record is None:
            raise NotFound("key", key_id)
        return record

    async def shown_all(self) -> list[JsonObject]:
        """All keys as administrators see them, also those that are revoked or expired, oldest first."""
        records = sorted(self._all(), key=lambda each: each.created_ms)
        return [self.shown(each, await self.last_used_ms(each.key_id)) for each in records]

    def shown(self, record: KeyRecord, last_used_ms: int) -> JsonObject:
        """A key as administrators see it now."""
        return record.shown(self._now_ms(), last_used_ms)

    async def last_used_ms(self, key_id: str) -> int:
        """When a key was used last, 0 if never; since the last start exact, before that to the hour."""
        known = self._used_ms.get(key_id)
        if known is not None:
            return known
        chosen = AuditFilter(action=USE, object_kind="key", object_id=key_id)
        rows = (await self._logbook.audit_entries(chosen, size=1)).rows
        return rows[0].at_ms if rows else 0

    def _all(self) -> list[KeyRecord]:
        return [record for key_id in self._documents.all() if (record := self._find(key_id)) is not None]

    def _active(self) -> list[KeyRecord]:
        now_ms = self._now_ms()
        return [each for each in self._all() if each.state(now_ms) == "active"]

    def _find(self, key_id: str) -> KeyRecord | None:
        body = self._documents.all().get(key_id)
        if body is None:
            return None
        known = self._records.get(key_id)
        if known is None or known[0] is not body:
            known = self._records[key_id] = body, KeyRecord.of(key_id, body)
        return known[1]

    async def _save(self, record: KeyRecord, by: str) -> None:
        await self._documents.save(record.key_id, record.body(), created_by=by)

    async def _make_room(self) -> None:
        """Forget the oldest key that is not good any more, if there are too many."""
        records = self._all()
        if len(records) < _MOST_KEYS:
            return
        now_ms = self._now_ms()
        ended = [each for each in records if each.state(now_ms) != "active"]
        if not ended:
            raise LimitExceeded("keys", allowed=_MOST_KEYS)
        await self._documents.delete(min(ended, key=lambda each: each.created_ms).key_id)

    def _now_ms(self) -> int:
        return self._engine.clock.now().wall_ms


def _credentials(headers: Mapping[str, str]) -> str:
    """What a client sent to show who it is; '' if nothing."""
    given = headers.get("X-Authorization") or headers.get("Authorization", "")
    scheme, _, rest = given.strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    return given.strip() if "X-Authorization" in headers else ""


def _first(*times_ms: int) -> int:
    """The earliest of times of which 0 means never."""
    return min((each for each in times_ms if each), default=0)
