"""Host names looked up for requests to the outside: what a name resolves to is checked, then connected to.

It opens no connection; `outbound` does, to nothing but what was checked here. The rules are in `addresses`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from asyncflow.runtime.addresses import AddressPolicy, IPAddress, parse_address

if TYPE_CHECKING:
    import aiohttp

Lookup = Callable[[str, int], Awaitable[list[str]]]
"""Gives the addresses of a host name; raises OSError when there are none."""


async def system_lookup(host: str, port: int) -> list[str]:
    """The addresses the system's resolver gives for a host name, in its order."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in infos]


def checked_resolver(policy: AddressPolicy, lookup: Lookup) -> aiohttp.abc.AbstractResolver:
    """A resolver whose answers have been checked: what it gives is what is connected to."""
    import aiohttp  # noqa: PLC0415  # the class below needs its parent
    import aiohttp.abc  # noqa: PLC0415

    class CheckedResolver(aiohttp.abc.AbstractResolver):
        async def resolve(
            self,
            host: str,
            port: int = 0,
            family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002  # both are looked up
        ) -> list[aiohttp.abc.ResolveResult]:
            addresses = [_address(text) for text in await lookup(host, port)]
            for address in addresses:
                policy.check_address(address, host)
            return [_resolved(host, port, address) for address in addresses]

        async def close(self) -> None:
            """Nothing is held."""

    return CheckedResolver()


def _resolved(host: str, port: int, address: IPAddress) -> aiohttp.abc.ResolveResult:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return {
        "hostname": host,
        "host": str(address),
        "port": port,
        "family": family,
        "proto": 0,
        "flags": flags,
    }


def _address(text: str) -> IPAddress:
    address = parse_address(text)
    if address is None:
        raise OSError(f"the resolver gave {text!r}, which is no address")
    return address
