"""Tokens: what a client gets for its key, and everything that is none of ours (R107)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from asyncflow.app.tokens import LIFE_MS, TokenMint
from asyncflow.errors import Unauthenticated
from tests.http.conftest import Server
from tests.http.credentials import error_word, key_ring, token_for

NOW_MS = 1_700_000_000_000


def encoded(value: object) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decoded(token: str, part: int) -> dict[str, object]:
    text = token.split(".")[part]
    found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert isinstance(found, dict)
    return found


def signed(mint: TokenMint, header: str, payload: str) -> str:
    """A token with a good signature on whatever it is."""
    text = f"{header}.{payload}"
    return f"{text}.{encoded(hmac.digest(mint._secret, text.encode(), hashlib.sha256))}"


@pytest.fixture
def mint() -> TokenMint:
    return TokenMint("asyncflow:here")


@pytest.fixture
def token(mint: TokenMint) -> str:
    return mint.issue("afk_1", now_ms=NOW_MS, expires_ms=NOW_MS + LIFE_MS)


def refusal(mint: TokenMint, token: str, *, now_ms: int = NOW_MS) -> str:
    with pytest.raises(Unauthenticated) as raised:
        mint.verify(token, now_ms=now_ms)
    return raised.value.error


def test_a_token_says_whom_it_stands_for_until_it_expires(mint: TokenMint, token: str) -> None:
    assert mint.verify(token, now_ms=NOW_MS) == ("afk_1", NOW_MS + LIFE_MS)
    assert mint.verify(token, now_ms=NOW_MS + LIFE_MS - 1).subject == "afk_1"
    assert refusal(mint, token, now_ms=NOW_MS + LIFE_MS) == "EXPIRED_TOKEN"


def test_a_token_of_the_near_future_is_good_and_of_the_far_one_is_not(mint: TokenMint, token: str) -> None:
    assert mint.verify(token, now_ms=NOW_MS - 60_000).subject == "afk_1"
    assert refusal(mint, token, now_ms=NOW_MS - 60_001) == "INVALID_TOKEN"


def test_a_token_of_the_process_before_is_called_expired(token: str) -> None:
    """Clients of all releases get another one then, without anybody's help."""
    assert refusal(TokenMint("asyncflow:here"), token) == "EXPIRED_TOKEN"


@pytest.mark.parametrize("alg", ["none", "None", "HS512", "HS1", "RS256", "ES256", ""])
def test_no_other_algorithm_is_taken(mint: TokenMint, token: str, alg: str) -> None:
    header, payload = encoded({"alg": alg, "typ": "JWT"}), token.split(".")[1]

    assert refusal(mint, signed(mint, header, payload)) == "INVALID_TOKEN"
    assert refusal(mint, f"{header}.{payload}.") == "INVALID_TOKEN"


@pytest.mark.parametrize(
    "extra",
    [
        {"kid": "x"},
        {"kid": "k" * 1_000},
        {"jku": "http://example.org/keys"},
        {"jwk": {"kty": "oct", "k": "AA"}},
    ],
)
def test_no_header_chooses_a_key(mint: TokenMint, token: str, extra: dict[str, object]) -> None:
    header = encoded({"alg": "HS256", "typ": "JWT", **extra})

    assert refusal(mint, signed(mint, header, token.split(".")[1])) == "INVALID_TOKEN"


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "asyncflow:elsewhere"},
        {"aud": "other"},
        {"aud": ["asyncflow"]},
        {"exp": NOW_MS // 1000 - 1},
        {"exp": "9999999999"},
        {"exp": None},
        {"exp": 1e300},
        {"exp": True},
        {"nbf": NOW_MS // 1000 + 61},
        {"nbf": None},
        {"sub": None},
        {"sub": 7},
    ],
)
def test_claims_that_are_wrong_or_missing_are_refused(
    mint: TokenMint, token: str, change: dict[str, object]
) -> None:
    claims = {**decoded(token, 1), **change}
    header = token.split(".", maxsplit=1)[0]

    assert refusal(mint, signed(mint, header, encoded(claims))) in {"INVALID_TOKEN", "EXPIRED_TOKEN"}
    assert mint.verify(signed(mint, header, encoded(decoded(token, 1))), now_ms=NOW_MS).subject == "afk_1"


@pytest.mark.parametrize("payload", [b"[]", b"null", b"{", b"\xff\xfe", b"[" * 300, b"1e999"])
def test_a_payload_that_is_no_object_is_refused(mint: TokenMint, token: str, payload: bytes) -> None:
    assert refusal(mint, signed(mint, token.split(".", maxsplit=1)[0], encoded(payload))) == "INVALID_TOKEN"


def test_every_changed_character_is_noticed(mint: TokenMint, token: str) -> None:
    for place, character in enumerate(token):
        changed = f"{token[:place]}{'A' if character != 'A' else 'B'}{token[place + 1 :]}"
        assert refusal(mint, changed) in {"INVALID_TOKEN", "EXPIRED_TOKEN"}


@pytest.mark.parametrize("token", ["..", "a.b.c", "é.é.é", ".." + "a" * 5_000, "\ud800.."])
def test_what_is_no_token_is_refused(mint: TokenMint, token: str) -> None:
    assert refusal(mint, token) == "INVALID_TOKEN"


# --- over HTTP --------------------------------------------------------------------------------------


@pytest.mark.route("POST /api/token")
async def test_without_keys_there_is_no_token_as_with_conductor(server: Server) -> None:
    answer = await server.post("/api/token", json={"keyId": "a", "keySecret": "b"})

    assert (answer.status, answer.message) == (404, "No static resource api/token")


@pytest.mark.route("POST /api/token")
async def test_a_key_gets_a_token_that_is_taken_in_both_headers(server: Server) -> None:
    ring = await key_ring(server.services.keys)
    token = await token_for(server, ring.by_role["viewer"])

    for headers in ({"X-Authorization": token}, {"Authorization": f"Bearer {token}"}):
        answer = await server.get("/api/token/userInfo", headers=headers)
        assert answer.status == 200
    assert decoded(token, 1)["exp"] == decoded(token, 1)["iat"] + LIFE_MS // 1000  # type: ignore[operator]


@pytest.mark.route("POST /api/token")
@pytest.mark.parametrize("secret", ["x", "", "é", "a" * 100_000, "\ud800"])
async def test_a_wrong_secret_gets_no_token(server: Server, secret: str) -> None:
    ring = await key_ring(server.services.keys)
    body = {"keyId": ring.by_role["viewer"].record.key_id, "keySecret": secret}

    answer = await server.post("/api/token", json=body)

    assert answer.status in {400, 401}
    assert secret == "" or secret not in answer.text
    # A word that makes clients fetch a token would have them ask for ever.
    assert error_word(answer) in {None, "INVALID_CREDENTIALS"}


@pytest.mark.route("GET /api/token/userInfo")
async def test_a_caller_can_ask_who_it_is(server: Server) -> None:
    assert (await server.get("/api/token/userInfo")).status == 404
    ring = await key_ring(server.services.keys)

    answer = await server.get("/api/token/userInfo", headers=ring.headers("author"))

    key_id = ring.by_role["author"].record.key_id
    assert answer.json == {"id": key_id, "name": "author-key", "roles": [{"name": "author"}]}


async def test_many_tokens_with_unknown_keys_fetch_nothing(server: Server) -> None:
    """There is no key to fetch, whatever `kid` says: each is refused where it stands."""
    await key_ring(server.services.keys)
    for number in range(300):
        header = encoded({"alg": "RS256", "kid": f"{number}", "jku": "http://127.0.0.1:1/"})
        answer = await server.get("/api/secrets", headers={"X-Authorization": f"{header}.e30.c2ln"})
        assert answer.status == 401
    assert server.services.audit.refused == 300
