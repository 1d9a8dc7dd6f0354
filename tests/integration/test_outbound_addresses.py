from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflow.runtime.addresses import AddressPolicy, AddressRefused, refusal
from asyncflow.runtime.outbound import OutboundClient
from asyncflow.runtime.outbound_exchange import OutboundFailed, OutboundRequest

REFUSED = [
    "http://127.0.0.1/", "http://127.9.9.9:80/", "http://0/", "http://0.0.0.0/", "http://[::]/", "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/",
    "http://[::ffff:8.8.8.8]/", "http://[64:ff9b::7f00:1]/", "http://[64:ff9b::808:808]/", "http://[2002:7f00:1::]/",
    "http://2130706433/", "http://017700000001/", "http://0x7f000001/", "http://0177.0.0.1/", "http://0x7f.0.0.1/",
    "http://127.1/", "http://127.0.1/", "http://127.0.0.1./", "http://127。0。0。1/", "http://①②⑦.0.0.1/",
    "http://\uff11\uff12\uff17.0.0.1/", "http://%31%32%37.0.0.1/", "http://127.0.0.1%2f@example.com/",
    "http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/", "http://[fe80::1%25eth0]/",
    "http://[fd00:ec2::254]/", "http://100.100.100.200/", "http://168.63.129.16/", "http://192.0.0.192/",
    "http://10.0.0.1/", "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.1.1/", "http://100.64.0.1/",
    "http://[fc00::1]/", "http://[fec0::1]/", "http://224.0.0.1/", "http://[ff02::1]/", "http://255.255.255.255/",
    "http://240.0.0.1/", "http://198.18.0.1/", "http://192.0.2.1/", "http://[2001:db8::1]/", "http://[100::1]/",
    "http://localhost/", "http://LOCALHOST./", "http://app.localhost/", "http://metadata.google.internal/",
    "http://metadata/", "http://instance-data/", "http://user@example.com/", "http://example.com@127.0.0.1/",
    "http://example.com:80@127.0.0.1/", "http://127.0.0.1\\@example.com/", "http://example.com\\@127.0.0.1/",
    "http://exa mple.com/", "http://example.com\r\nX: y/", "http://example.com\t/", "http:///etc/passwd",
    "file:///etc/passwd", "gopher://127.0.0.1:70/_x", "ftp://example.com/", "unix:///run/docker.sock",
    "data:text/plain,x", "javascript:1", "//example.com/", "example.com", "", "http://[::1", "http://h:99999/",
]  # fmt: skip


async def no_lookup(host: str, _port: int) -> list[str]:
    raise AssertionError(f"{host} must not be looked up")


@pytest.mark.parametrize("url", REFUSED)
async def test_address_is_refused_before_any_lookup(url: str) -> None:
    async with OutboundClient(AddressPolicy(), lookup=no_lookup) as client:
        with pytest.raises(AddressRefused, match="refused: "):
            await client.send(OutboundRequest("GET", url, {}))


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["8.8.8.8", "10.0.0.1"],
        ["2606:4700::1111", "fe80::1%eth0"],
        ["169.254.169.254"],
    ],
)
async def test_name_with_any_refused_address_is_refused(addresses: list[str]) -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        return addresses

    async with OutboundClient(AddressPolicy(), lookup=lookup) as client:
        with pytest.raises(AddressRefused, match=r"inner\.example.*--http-allow"):
            await client.send(OutboundRequest("GET", "http://inner.example/", {}))


async def test_name_that_does_not_resolve_fails_without_having_arrived() -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    async with OutboundClient(AddressPolicy(), lookup=lookup) as client:
        with pytest.raises(OutboundFailed, match="no such name") as raised:
            await client.send(OutboundRequest("GET", "http://gone.example/", {}))

    assert not raised.value.may_have_arrived


@pytest.mark.parametrize(
    ("allow", "host", "allowed"),
    [
        ("127.0.0.0/8", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "::ffff:7f00:1", True),
        ("10.0.0.0/8", "64:ff9b::a00:1", True),
        ("10.0.0.0/8", "64:ff9b::7f00:1", False),
        ("[::1]", "::1", True),
        ("localhost", "LocalHost.", True),
        ("localhost", "127.0.0.1", False),
        ("other.example", "localhost", False),
        ("10.1.2.3/8", "10.9.9.9", True),
    ],
)
def test_policy_allows_what_is_listed_only(allow: str, host: str, allowed: bool) -> None:  # noqa: FBT001
    policy = AddressPolicy((allow,))
    if allowed:
        policy.check_url("http", host)
    else:
        with pytest.raises(AddressRefused):
            policy.check_url("http", host)


def test_allowed_name_may_resolve_anywhere() -> None:
    policy = AddressPolicy(("inner.example",))

    policy.check_address(ipaddress.ip_address("10.0.0.1"), "inner.example")
    with pytest.raises(AddressRefused):
        policy.check_address(ipaddress.ip_address("10.0.0.1"), "other.example")


@pytest.mark.parametrize("entry", ["", "http://x", "a/b", "10.0.0.0/33", "2130706433x/", "127.1", "*"])
def test_policy_names_an_entry_it_cannot_read(entry: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        AddressPolicy((entry,))


@given(st.ip_addresses())
def test_every_address_the_standard_library_calls_private_is_refused(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """Law: nothing that Python's own tables call local, reserved or multicast gets through."""
    local = address.is_private or address.is_multicast or address.is_reserved or address.is_link_local
    if local or address.is_loopback or address.is_unspecified:
        assert refusal(address) is not None
