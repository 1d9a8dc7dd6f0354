"""Keys and tokens over REST, and the end of what waits when its credentials end.

Who may do what is said by the routes; keys are held by `app/keys`. No route shows a secret, except the
one that makes a key, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from asyncflow.app.callers import Caller
from asyncflow.app.key_records import ROLES
from asyncflow.app.keys import Keys
from asyncflow.errors import InvalidInput, Unauthenticated
from asyncflow.http.routing import (
    ADMIN,
    OPEN,
    VIEWER,
    Call,
    HttpError,
    Reply,
    Routes,
    empty_answer,
    json_answer,
    json_body,
    reply_empty,
    reply_json,
)
from asyncflow.http.schemas import MOMENT, TEXT, one_of, shape
from asyncflow.model.values import JsonObject

_KEY = {
    "id": TEXT,
    "name": TEXT,
    "role": one_of(*ROLES),
    "state": one_of("active", "expired", "revoked"),
    "createTime": MOMENT,
    "createdBy": TEXT,
    "expireTime": MOMENT,
    "revokeTime": MOMENT,
    "revokedBy": TEXT,
    "lastUseTime": MOMENT,
}
_SCHEMAS: dict[str, JsonObject] = {
    "TokenRequest": shape({"keyId": TEXT, "keySecret": TEXT}, "keyId", "keySecret"),
    "Token": shape({"token": TEXT}, "token"),
    "UserInfo": shape({"id": TEXT, "name": TEXT, "roles": {"type": "array", "items": shape({"name": TEXT})}}),
    "KeyRequest": shape({"name": TEXT, "role": one_of(*ROLES), "expireTime": MOMENT}, "name", "role"),
    "Key": shape(_KEY, "id", "name", "role", "state"),
    "NewKey": shape({**_KEY, "secret": TEXT, "key": TEXT}, "id", "secret", "key"),
}

routes = Routes("Keys", schemas=_SCHEMAS)


# --- tokens, as Conductor's clients ask for them ----------------------------------------------------


@routes.post(
    "/api/token", role=OPEN, body=json_body("TokenRequest"), answers=json_answer("Token"), errors=(401, 404)
)
async def get_token(call: Call) -> Reply:
    """Get a token for a key, for the header X-Authorization.

    404 where no keys are asked for: clients then go on without.
    """
    keys = _keys(call)
    body = await call.json_object()
    key_id, secret = (_text(body, name) for name in ("keyId", "keySecret"))
    return reply_json({"token": keys.token(key_id, secret)})


@routes.get("/api/token/userInfo", role=VIEWER, answers=json_answer("UserInfo"), errors=(404,))
async def get_user(call: Call) -> Reply:
    """Who the caller is, by the credentials of this request."""
    _keys(call)
    role = call.caller.role.name.lower()
    return reply_json({"id": call.caller.key_id, "name": call.caller.name, "roles": [{"name": role}]})


def _keys(call: Call) -> Keys:
    """The keys, if any are asked for; else there is no such path, as with Conductor."""
    if not call.services.keys.is_required:
        raise HttpError(404, "No static resource api/token")
    return call.services.keys


# --- keys -----------------------------------------------------------------------------------------


@routes.get("/api/asyncflow/keys", role=ADMIN, answers=json_answer("Key", many=True))
async def list_keys(call: Call) -> Reply:
    """List all keys, also those that are revoked or expired, oldest first."""
    return reply_json(await call.services.keys.shown_all())


@routes.post(
    "/api/asyncflow/keys",
    role=ADMIN,
    body=json_body("KeyRequest"),
    answers=json_answer("NewKey", about="The only answer that ever shows the secret."),
    errors=(409,),
)
async def create_key(call: Call) -> Reply:
    """Make a key; the first one has to be an admin's, and from then on keys are asked for."""
    body = await call.json_object()
    expires_ms = body.get("expireTime") or 0
    if type(expires_ms) is not int:
        raise InvalidInput("milliseconds since 1970 are expected", field="expireTime")
    made = await call.services.keys.create(
        _text(body, "name"), _text(body, "role"), expires_ms=expires_ms, created_by=call.caller.name
    )
    shown = made.record.shown(made.record.created_ms, 0)
    return reply_json({**shown, "secret": made.secret, "key": made.text})


@routes.get("/api/asyncflow/keys/{id}", role=ADMIN, answers=json_answer("Key"), errors=(404,))
async def get_key(call: Call) -> Reply:
    """Get what is known of a key."""
    keys, key_id = call.services.keys, call.path["id"]
    record = keys.get(key_id)
    return reply_json(keys.shown(record, await keys.last_used_ms(key_id)))


@routes.delete("/api/asyncflow/keys/{id}", role=ADMIN, answers=empty_answer(), errors=(404, 409))
async def revoke_key(call: Call) -> Reply:
    """Revoke a key: it lets nobody in from here on, nor does a token got with it."""
    await call.services.keys.revoke(call.path["id"], revoked_by=call.caller.name)
    return reply_empty()


def _text(body: JsonObject, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidInput("a text is expected", field=name)
    return value


# --- the end of credentials -------------------------------------------------------------------------


class Sentry:
    """Ends what waits for news, streams and long polls, soon after its caller's credentials end.

    One look every few seconds at all of them, no timer for each.

    Attributes:
        ended: how many it ended.
    """

    def __init__(self, *, every_s: float) -> None:
        """Watch nobody yet."""
        self.ended = 0
        self._every_s = every_s
        self._watched: dict[asyncio.Task[object], tuple[Keys, Caller]] = {}
        self._ending: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def watching(self, keys: Keys, caller: Caller) -> Iterator[None]:
        """What runs in it is ended once the caller's credentials are not good any more.

        Raises:
            Unauthenticated: they ended while it ran.
        """
        task = asyncio.current_task()
        assert task is not None
        self._watched[task] = keys, caller
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._look)
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._ending:
                raise
            task.uncancel()
            raise Unauthenticated("the credentials ended meanwhile", error="EXPIRED_TOKEN") from None
        finally:
            self._watched.pop(task, None)
            self._ending.discard(task)

    def _look(self) -> None:
        self._timer = None
        for task, (keys, caller) in self._watched.items():
            if not keys.still_holds(caller):
                self.ended += 1
                self._ending.add(task)
                task.cancel()
        if self._watched:
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._look)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
