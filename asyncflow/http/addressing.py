"""Whether a request is meant for this server: its Host, and the page it comes from, if any.

A name that an attacker made point to loopback is not ours, and a page of another origin may not call
unless it is configured. It holds no state and asks no credentials.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

from asyncflow.http.errors import HttpError

_LOCAL = frozenset({"localhost", "ip6-localhost"})
_KNOWN = 256  # hosts remembered as good; a client cannot make more
_FOREIGN = frozenset({"cross-site", "same-site"})
_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Authorization"


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine alone."""
    name = host.strip("[]").lower()
    if name in _LOCAL or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Addressing:
    """Who may be addressed by a request, and from which pages."""

    def __init__(self, *, local_only: bool, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        """With `local_only`, loopback names and `hosts` are ours; else any is, unless `hosts` says which."""
        self._hosts = frozenset(host.lower() for host in hosts)
        self._is_checked = local_only or bool(self._hosts)
        self._takes_local = local_only or not self._hosts
        self._origins = frozenset(origins)
        self._good: set[str] = set()

    def check(self, headers: Mapping[str, str], path: str) -> dict[str, str] | None:
        """Header fields for the answer to a page of another origin, or None.

        Raises:
            HttpError: 403, the request is not meant for us or comes from a page that may not call.
        """
        host = headers.get("Host", "")
        if self._is_checked and host and host not in self._good:
            self._check_host(host)
        origin = headers.get("Origin")
        if origin is not None:
            return self._check_origin(origin, host)
        if headers.get("Sec-Fetch-Site") in _FOREIGN and not _is_navigation(headers, path):
            raise HttpError(403, "pages of other sites may not call this server")
        return None

    def _check_host(self, host: str) -> None:
        name = _name_of(host)
        if name not in self._hosts and not (self._takes_local and is_loopback(name)):
            raise HttpError(
                403,
                f"Host {host[:100]!r} is not a name of this server; [server] hosts adds it",
            )
        if len(self._good) < _KNOWN:
            self._good.add(host)

    def _check_origin(self, origin: str, host: str) -> dict[str, str] | None:
        if origin in self._origins:
            return {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
                "Access-Control-Allow-Headers": _HEADERS,
                "Access-Control-Max-Age": "600",
                "Vary": "Origin",
            }
        if host and origin in {f"http://{host}", f"https://{host}"}:
            return None
        raise HttpError(
            403,
            f"Origin {origin[:100]!r} may not call this server; [server] origins allows it",
        )


def _is_navigation(headers: Mapping[str, str], path: str) -> bool:
    """Whether somebody followed a link to a page of ours; links to the API are not followed."""
    return headers.get("Sec-Fetch-Mode") == "navigate" and not path.startswith("/api/")


def _name_of(host: str) -> str:
    """A Host without its port, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")
