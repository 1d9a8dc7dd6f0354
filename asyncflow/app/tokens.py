"""Short-lived tokens that stand for an API key: issued for its secret, and checked on every request.

They are JWTs because Conductor's clients take them so, signed with HMAC-SHA-256 by a secret that is
drawn at start and kept in memory only. What a key may do is known by `keys`, not by the token.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final, NamedTuple

from pydantic_core import from_json, to_json

from asyncflow.errors import Unauthenticated
from asyncflow.model.values import JsonObject

LIFE_MS: Final = 3_600_000
"""How long a token is good: longer than the 45 minutes after which Conductor's clients ask for another."""

MOST_CHARACTERS: Final = 2_048
"""Longer ones are refused unread."""

_AUDIENCE = "asyncflow"
_LEEWAY_MS = 60_000
_SECRET_BYTES = 32


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


_HEADER = _encoded(to_json({"alg": "HS256", "typ": "JWT"}))


class Claims(NamedTuple):
    """What a good token says: whom it stands for, and until when."""

    subject: str
    expires_ms: int


def looks_like_token(text: str) -> bool:
    """Whether it has the form of a token, good or bad."""
    return text.count(".") == 2


class TokenMint:
    """Issues tokens, and knows its own again.

    A new process has a new secret: tokens of the one before are called expired, so that clients get
    others by themselves. Nothing that would let somebody forge one lies on a disk.
    """

    def __init__(self, issuer: str) -> None:
        """Draw the secret; `issuer` goes into every token."""
        self._issuer = issuer
        self._secret = secrets.token_bytes(_SECRET_BYTES)

    def issue(self, subject: str, *, now_ms: int, expires_ms: int) -> str:
        """A token for a subject, good from now until then."""
        now_s = now_ms // 1000
        return self._signed(
            {
                "iss": self._issuer,
                "aud": _AUDIENCE,
                "sub": subject,
                "iat": now_s,
                "nbf": now_s,
                "exp": expires_ms // 1000,
            }
        )

    def _signed(self, claims: JsonObject) -> str:
        signed = f"{_HEADER}.{_encoded(to_json(claims))}"
        return f"{signed}.{self._signature(signed)}"

    def _signature(self, signed: str) -> str:
        return _encoded(hmac.digest(self._secret, signed.encode(), hashlib.sha256))

    def verify(self, token: str, *, now_ms: int) -> Claims:
        """What a token says, if it is ours and good now.

        Its header is compared with the only one that we write, never read: there is no algorithm to
        choose, and no key to fetch.

        Raises:
            Unauthenticated: it is not.
        """
        signed, _, signature = token.rpartition(".")
        if len(token) > MOST_CHARACTERS or not token.isascii() or not signed.startswith(f"{_HEADER}."):
            raise Unauthenticated("the token is not one of this server")
        if not hmac.compare_digest(signature, self._signature(signed)):
            raise Unauthenticated("the token was signed by no server that runs now", error="EXPIRED_TOKEN")
        return self._checked(_claims(signed[len(_HEADER) + 1 :]), now_ms)

    def _checked(self, claims: JsonObject, now_ms: int) -> Claims:
        subject, expires_s, begins_s = claims.get("sub"), claims.get("exp"), claims.get("nbf")
        if claims.get("iss") != self._issuer or claims.get("aud") != _AUDIENCE:
            raise Unauthenticated("the token is meant for another server")
        if not (isinstance(subject, str) and _is_time(expires_s) and _is_time(begins_s)):
            raise Unauthenticated("the token is incomplete")
        assert type(expires_s) is int
        assert type(begins_s) is int
        if expires_s * 1000 <= now_ms:
            raise Unauthenticated("the token has expired", error="EXPIRED_TOKEN")
        if begins_s * 1000 > now_ms + _LEEWAY_MS:
            raise Unauthenticated("the token is not good yet")
        return Claims(subject, expires_s * 1000)


def _is_time(value: object) -> bool:
    return type(value) is int


def _claims(payload: str) -> JsonObject:
    try:
        value = from_json(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Unauthenticated("the token is malformed")
    return value
