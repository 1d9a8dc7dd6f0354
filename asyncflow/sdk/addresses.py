"""Where a server is, and how paths on it are written.

It reads what it is given, connects to nothing, and never repeats a secret in a message; `client` sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import quote, urlencode, urlsplit

from asyncflow.errors import ConfigurationError, InvalidInput

DEFAULT_SERVER: Final = "http://127.0.0.1:8080"

Query = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is and what shows who calls; secrets are left out of its representation.

    Attributes:
        url: scheme, host and port, and what goes before `/api` in paths.
        key_id, secret: exchanged for a token, as Conductor's SDKs do.
        api_key: sent as it is, instead of those.
    """

    url: str
    key_id: str = ""
    secret: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Check the address; what is wrong with it is said without repeating a secret in it."""
        try:
            parts = urlsplit(self.url)
            sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            sound = False
        if not sound or parts.query or parts.fragment:
            raise ConfigurationError("the server's address must be such as http://127.0.0.1:8080")
        if parts.username is not None or parts.password is not None:
            raise ConfigurationError(
                "the server's address holds credentials; set ASYNCFLOW_API_KEY, or CONDUCTOR_AUTH_KEY and "
                "CONDUCTOR_AUTH_SECRET instead"
            )
        object.__setattr__(self, "url", self.url.rstrip("/").removesuffix("/api").rstrip("/"))

    @classmethod
    def found(cls, environ: Mapping[str, str], server: str = "") -> Self:
        """What the environment says, under our names and those of Conductor's SDKs.

        Args:
            environ: `ASYNCFLOW_SERVER` or `CONDUCTOR_SERVER_URL`; `ASYNCFLOW_API_KEY`, or
                `CONDUCTOR_AUTH_KEY` with `CONDUCTOR_AUTH_SECRET`.
            server: goes before the environment.

        Raises:
            ConfigurationError: the address is none, or only one half of a key is set.
        """
        url = server or environ.get("ASYNCFLOW_SERVER") or environ.get("CONDUCTOR_SERVER_URL")
        key_id, secret = environ.get("CONDUCTOR_AUTH_KEY", ""), environ.get("CONDUCTOR_AUTH_SECRET", "")
        if bool(key_id) != bool(secret):
            missing = "CONDUCTOR_AUTH_SECRET" if key_id else "CONDUCTOR_AUTH_KEY"
            raise ConfigurationError(f"{missing} is not set, but its other half is")
        return cls(url or DEFAULT_SERVER, key_id, secret, environ.get("ASYNCFLOW_API_KEY", ""))


def path_of(*parts: str) -> str:
    """An absolute path of these parts, each quoted.

    Raises:
        InvalidInput: a part is empty or means another folder, so the path would mean something else.
    """
    for part in parts:
        if part in {"", ".", ".."}:
            raise InvalidInput(f"{part!r} can be no part of an address; an id or a name is expected")
    try:
        return "/" + "/".join(quote(part, safe="") for part in parts)
    except UnicodeEncodeError as error:
        raise InvalidInput("a name holds bytes that are no text") from error


def target_of(path: str, query: Query | None) -> str:
    """A path with its query; values that are None or empty are left out, lists are repeated."""
    given = {name: _word(value) for name, value in (query or {}).items() if value not in (None, "", [], ())}
    asked = urlencode(given, doseq=True, errors="strict")
    return path + (f"?{asked}" if asked else "")


def _word(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return [_word(each) for each in value] if isinstance(value, list | tuple) else value
