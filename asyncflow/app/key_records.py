"""An API key as it is made, stored and compared: the id and a salted hash stay, the secret does not.

It knows no engine and no header. `keys` holds those of an engine, `key_files` those of a file that no
engine has open.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b32encode
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from asyncflow.app.callers import ANONYMOUS, NOBODY, Role
from asyncflow.errors import Conflict, InvalidInput
from asyncflow.model.values import JsonObject

KIND: Final = "api_key"
"""The kind of the documents that keys are."""

ROLES: Final = tuple(role.name.lower() for role in Role if role is not Role.OPEN)
"""The roles that a key may have, the least first."""

_PREFIX = "afk_"
_ID_BYTES, _SALT_BYTES, _SECRET_BYTES = 10, 16, 32
_MOST_NAME = 100
_FORM = re.compile(rf"({_PREFIX}[a-z2-7]{{16}})\.([A-Za-z0-9_-]{{43}})")
_NO_NAMES = frozenset({ANONYMOUS.name, NOBODY.name})

State = Literal["active", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is stored of a key.

    Attributes:
        salt, digest: hexadecimal; the digest is that of the salt and the secret.
        expires_ms, revoked_ms: wall clock; 0 means never.
    """

    key_id: str
    name: str
    role: Role
    salt: str
    digest: str
    created_ms: int
    created_by: str = ""
    expires_ms: int = 0
    revoked_ms: int = 0
    revoked_by: str = ""

    def state(self, now_ms: int) -> State:
        """Whether it lets anybody in now, and why not."""
        if self.revoked_ms:
            return "revoked"
        return "expired" if self.expires_ms and self.expires_ms <= now_ms else "active"

    def fits(self, secret: str) -> bool:
        """Whether this is its secret; takes the same time for every wrong one."""
        return hmac.compare_digest(self.digest, _digest(self.salt, secret))

    def body(self) -> JsonObject:
        """The document."""
        return {
            "name": self.name,
            "role": self.role.name.lower(),
            "salt": self.salt,
            "sha256": self.digest,
            "createdMs": self.created_ms,
            "createdBy": self.created_by,
            "expiresMs": self.expires_ms,
            "revokedMs": self.revoked_ms,
            "revokedBy": self.revoked_by,
        }

    @classmethod
    def of(cls, key_id: str, body: JsonObject) -> KeyRecord:
        """The record of a document that `body` made; what is missing lets nobody in."""
        return cls(
            key_id,
            str(body.get("name", "")),
            Role[str(body.get("role", "open")).upper()],
            str(body.get("salt", "")),
            str(body.get("sha256", "")),
            _number(body, "createdMs"),
            str(body.get("createdBy", "")),
            _number(body, "expiresMs"),
            _number(body, "revokedMs"),
            str(body.get("revokedBy", "")),
        )

    def shown(self, now_ms: int, last_used_ms: int) -> JsonObject:
        """What administrators see of it; nothing that helps to guess the secret."""
        found: JsonObject = {
            "id": self.key_id,
            "name": self.name,
            "role": self.role.name.lower(),
            "state": self.state(now_ms),
            "createTime": self.created_ms,
            "createdBy": self.created_by,
            "expireTime": self.expires_ms or None,
            "revokeTime": self.revoked_ms or None,
            "revokedBy": self.revoked_by or None,
            "lastUseTime": last_used_ms or None,
        }
        return {name: value for name, value in found.items() if value is not None}


class NewKey(NamedTuple):
    """A key that was just made; the secret is not kept anywhere else."""

    record: KeyRecord
    secret: str

    @property
    def text(self) -> str:
        """The key in one piece, as `Authorization: Bearer` takes it."""
        return f"{self.record.key_id}.{self.secret}"


def new_key(name: str, role: str, *, now_ms: int, expires_ms: int = 0, created_by: str = "") -> NewKey:
    """Draw a key: 256 random bits, and an id to tell it by.

    Raises:
        InvalidInput: the name, the role or the end is none.
    """
    if not (1 <= len(name) <= _MOST_NAME and name.isprintable() and name == name.strip()):
        raise InvalidInput(f"1 to {_MOST_NAME} printable characters are expected", field="name")
    if name in _NO_NAMES:
        raise InvalidInput(f"{name!r} is what callers without a key are called", field="name")
    if role not in ROLES:
        raise InvalidInput(f"one of {', '.join(ROLES)} is expected", field="role")
    if expires_ms and expires_ms <= now_ms:
        raise InvalidInput("it lies in the past", field="expireTime")
    key_id = _PREFIX + b32encode(secrets.token_bytes(_ID_BYTES)).decode().lower()
    secret, salt = secrets.token_urlsafe(_SECRET_BYTES), secrets.token_hex(_SALT_BYTES)
    digest = _digest(salt, secret)
    record = KeyRecord(key_id, name, Role[role.upper()], salt, digest, now_ms, created_by, expires_ms)
    return NewKey(record, secret)


def check_new(made: KeyRecord, others: Collection[KeyRecord]) -> None:
    """Return if a key may be added to those there are.

    Raises:
        InvalidInput: it is the first one, and no admin's.
        Conflict: a key of this name is good still.
    """
    if not others and made.role is not Role.ADMIN:
        raise InvalidInput(
            "the first key has to be an admin's: from then on everybody needs one", field="role"
        )
    if any(each.name == made.name and each.state(made.created_ms) == "active" for each in others):
        raise Conflict(f"there is a key {made.name} already; revoke it first, or choose another name")


def split_key(text: str) -> tuple[str, str] | None:
    """The id and the secret of a key in one piece; None if it has another form."""
    found = _FORM.fullmatch(text)
    return None if found is None else (found[1], found[2])


def _digest(salt: str, secret: str) -> str:
    # The secret has 256 random bits: nothing slower is needed, nobody tries them all.
    return hashlib.sha256(f"{salt}:{secret}".encode("utf-8", "surrogatepass")).hexdigest()


def _number(body: JsonObject, name: str) -> int:
    value = body.get(name)
    return value if type(value) is int else 0
