"""Which addresses tasks may reach: the rules against requests to the engine's own network.

Pure checks of texts and addresses; nothing here resolves a name or opens a socket. Read
`outbound` next, which applies them to the address it connects to.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from asyncflow.errors import Refused

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_ALLOWING = "allow it with --http-allow HOST_OR_CIDR or [http] allow"

# The first network that holds an address names the rule. Written out instead of asking
# `is_global`, whose answers differ between releases of Python.
_REFUSED: Final[tuple[tuple[str, IPNetwork], ...]] = tuple(
    (rule, ipaddress.ip_network(text))
    for rule, texts in (
        ("unspecified address", ("0.0.0.0/8", "::/128")),
        ("loopback address", ("127.0.0.0/8", "::1/128")),
        ("link-local address", ("169.254.0.0/16", "fe80::/10")),
        ("private address", ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10")),
        ("carrier-grade NAT address", ("100.64.0.0/10",)),
        ("multicast address", ("224.0.0.0/4", "ff00::/8")),
        ("broadcast or reserved address", ("240.0.0.0/4",)),
        ("cloud metadata address", ("168.63.129.16/32",)),
        ("special-purpose address", ("192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15")),
        ("documentation address", ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")),
        ("documentation address", ("3fff::/20",)),
        ("IPv4-mapped address", ("::ffff:0:0/96",)),
        ("NAT64 address", ("64:ff9b::/96", "64:ff9b:1::/48")),
        ("6to4 or Teredo address", ("2002::/16", "2001::/32")),
        ("special-purpose address", ("2001::/23",)),
    )
    for text in texts
)
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")
_EMBEDDING = tuple(ipaddress.ip_network(text) for text in ("::ffff:0:0/96", "64:ff9b::/96"))

_LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_METADATA_NAMES = ("metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal")
_HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._")
_SCHEMES = ("http", "https")


class AddressRefused(Refused):
    """The address is one that tasks may not reach; allow its host or network if that is meant."""

    code = "address_refused"

    def __init__(self, what: str, rule: str, *, may_allow: bool = True) -> None:
        """Name what was refused, the rule, and the setting that lifts it, if there is one."""
        super().__init__(f"{what} refused: {rule}" + (f"; {_ALLOWING}" if may_allow else ""))
        self.rule = rule


class AddressPolicy:
    """Says of a URL and of an address whether tasks may reach it; everything public is allowed.

    An allowed host name lets that name through whatever it resolves to; an allowed network lets
    through every name that resolves into it.
    """

    def __init__(self, allow: tuple[str, ...] = ()) -> None:
        """A policy with these exceptions.

        Args:
            allow: host names, addresses and networks in CIDR form.

        Raises:
            ValueError: an entry is none of them; the message names it.
        """
        self._hosts: set[str] = set()
        self._networks: list[IPNetwork] = []
        for entry in allow:
            self._add(entry.strip())

    def check_url(self, scheme: str, host: str | None, *, has_user: bool = False) -> None:
        """Refuse what can be refused before a name is resolved.

        Args:
            scheme: of the URL, in lower case.
            host: of the URL as the client will use it, without brackets.
            has_user: whether the URL carries a user name.

        Raises:
            AddressRefused: the scheme, the form of the host, its name, or its literal address.
        """
        if scheme not in _SCHEMES:
            raise AddressRefused(f"scheme {scheme!r}", "only http and https", may_allow=False)
        if has_user:
            raise AddressRefused("a URL with a user name", "put credentials in a header", may_allow=False)
        if not host:
            raise AddressRefused("a URL without host", "it names no server", may_allow=False)
        name = _normal(host)
        address = parse_address(host)
        if address is not None:
            self.check_address(address, host)
        elif ":" in host or "%" in host or not set(name) <= _HOST_CHARACTERS:
            raise AddressRefused(f"host {host!r}", "not a host name", may_allow=False)
        elif _ends_in_number(name):
            raise AddressRefused(f"host {host!r}", "an address in disguise", may_allow=False)
        elif name not in self._hosts:
            _check_name(name, host)

    def check_address(self, address: IPAddress, host: str) -> None:
        """Refuse an address that the host resolved to, or is.

        Raises:
            AddressRefused: it lies in a refused network and neither it nor the host is allowed.
        """
        if _normal(host) in self._hosts or self._is_allowed(address):
            return
        rule = refusal(address)
        if rule is not None:
            what = f"host {host!r}" if host == str(address) else f"host {host!r} ({address})"
            raise AddressRefused(what, rule)

    def _add(self, entry: str) -> None:
        try:
            self._networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
        except ValueError:
            name = _normal(entry)
            if not name or not set(name) <= _HOST_CHARACTERS or _ends_in_number(name):
                raise ValueError(f"neither a host name nor an address or network: {entry!r}") from None
            self._hosts.add(name)

    def _is_allowed(self, address: IPAddress) -> bool:
        forms = [address]
        if isinstance(address, ipaddress.IPv6Address) and any(address in net for net in _EMBEDDING):
            forms.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        return any(form in network for form in forms for network in self._networks)


def parse_address(host: str) -> IPAddress | None:
    """The address a host text stands for in canonical form, its zone left out; None for a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def refusal(address: IPAddress) -> str | None:
    """The rule that refuses the address by default, None if it is public."""
    for rule, network in _REFUSED:
        if address in network:
            return rule
    if address.version == 6 and address not in _GLOBAL_V6:
        return "address outside the global unicast range"
    return None


def _check_name(name: str, host: str) -> None:
    if name in _LOCAL_NAMES or name.endswith(".localhost"):
        raise AddressRefused(f"host {host!r}", "a name of this machine")
    if name in _METADATA_NAMES:
        raise AddressRefused(f"host {host!r}", "a cloud metadata name")


def _ends_in_number(name: str) -> bool:
    """Whether resolvers read the name as an address: 2130706433, 0x7f.1, 0177.0.0.1, 127.1."""
    last = name.rpartition(".")[2]
    return last.isdigit() or last.startswith("0x")


def _normal(host: str) -> str:
    return host.lower().removesuffix(".")
