"""Where messages may go: private places are refused however they are spelled, public ones are not."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.addresses import as_ipv4, is_public, refusal

PUBLIC = [
    "https://example.com", "https://example.com/", "https://hooks.example.co.uk:8443/a/b?c=d%20e", "HTTPS://EXAMPLE.COM/x",
    "https://xn--bcher-kva.example/hook", "https://93.184.216.34/hook", "https://[2606:2800:220:1:248:1893:25c8:1946]/h",
    "https://example.com./hook", "https://a_b.example.com/", "https://[::ffff:93.184.216.34]/",
]  # fmt: skip
PRIVATE = [
    # loopback
    "127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001", "0x7f.1", "0X7F.0.0.1",
    "017700000001", "0177.0.0.1", "00000177.0.0.1", "127.0.0.1.", "0", "0.0.0.0", "00", "[::1]", "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0:127.0.0.1]", "localhost", "LOCALHOST",
    "localhost.", "a.localhost", "ip6-localhost",
    # private networks
    "10.0.0.1", "10.1", "167772161", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.257", "0xc0a80001",
    "0xC0.0xA8.0.1", "[fc00::1]", "[fd12:3456::1]", "[fec0::1]", "[::ffff:10.0.0.1]", "[64:ff9b::10.0.0.1]",
    "[64:ff9b:1::1]", "[2002:a00:1::]", "[2002:7f00:1::1]", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    # link-local, metadata services, shared, test, multicast, reserved
    "169.254.169.254", "2852039166", "0xa9fea9fe", "169.254.43518", "0251.0376.0251.0376", "[fe80::1]",
    "[fe80::1%25eth0]",
    "[::ffff:a9fe:a9fe]", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.88.99.1", "[ff02::1]",
    "[2001:db8::1]", "[100::1]", "[5f00::1]", "[3fff::1]",
    # names of one's own network
    "metadata.google.internal", "printer.local", "nas.lan", "intranet", "db", "router.home.arpa", "x.corp", "x.test",
]  # fmt: skip
MALFORMED = [
    "", "example.com", "//example.com", "https:/example.com", "https:example.com", "https://", "https:///x", "ftp://example.com",
    "http://example.com", "file:///etc/passwd", "gopher://example.com", "javascript:alert(1)", "https://user@example.com/",
    "https://user:secret@example.com/", "https://example.com@127.0.0.1/", "https://example.com#@127.0.0.1/",
    "https://example.com/#x", "https://example.com:0/", "https://example.com:65536/", "https://example.com:x/",
    "https://example.com:", "https://exa mple.com/", "https://example.com\\@127.0.0.1/", "https://[::1", "https://::1/",
    "https://[127.0.0.1]/", "https://256.1.1.1/", "https://1.2.3.4.5/", "https://1.2.3.0x/", "https://127.0.0.1%2f.example.com/",
    "https://１２７.０.０.１/", "https://ⓛocalhost/", "https://example。com/", "https://-a.example.com/", "https://a..example.com/",
    "https://example.com/\n", "https://example.com/\x00", "https://" + "a" * 64 + ".example.com/",
    "https://example.com/" + "a" * 2000, " https://example.com/",
]  # fmt: skip


@pytest.mark.parametrize("url", PUBLIC)
def test_a_public_address_is_taken(url: str) -> None:
    assert refusal(url) == ""


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_address_is_refused_in_every_spelling(host: str) -> None:
    assert refusal(f"https://{host}/hook") != ""
    assert refusal(f"https://{host}:8443") != ""


@pytest.mark.parametrize("url", MALFORMED)
def test_what_is_no_https_address_is_refused(url: str) -> None:
    assert refusal(url) != ""


def test_only_a_setting_lets_messages_go_to_private_places() -> None:
    assert refusal("http://127.0.0.1:8000/hook", private=True) == ""
    assert refusal("http://receiver/hook", private=True) == ""
    assert refusal("ftp://127.0.0.1/", private=True) != ""


@given(st.ip_addresses(v=4), st.data())
def test_a_private_ipv4_address_is_private_inside_ipv6_too(address: ipaddress.IPv4Address, data: st.DataObject) -> None:
    number = int(address)
    wrapped = data.draw(
        st.sampled_from([
            number, (0xFFFF << 32) + number, (0xFFFF << 48) + number, (0x64FF9B << 96) + number,
            (0x2002 << 112) + (number << 80) + 1,
        ])
    )  # fmt: skip
    assert is_public(str(ipaddress.IPv6Address(wrapped))) is is_public(str(address))


@given(st.ip_addresses(v=4))
def test_what_python_calls_private_is_never_public(address: ipaddress.IPv4Address) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert not is_public(str(address))


NUMBER = st.integers(0, 300) | st.integers(0, 2**33)
SPELLED = st.builds(lambda number, form: form(number), NUMBER, st.sampled_from((str, hex, lambda n: f"0{n:o}")))


@given(st.lists(SPELLED, min_size=1, max_size=5).map(".".join))
def test_numbers_are_read_as_resolvers_read_them(text: str) -> None:
    try:
        expected = socket.inet_ntoa(socket.inet_aton(text))
    except OSError:
        expected = None
    found = as_ipv4(text)
    assert (None if found is None else str(found)) == expected


def test_no_text_that_is_no_address_is_public() -> None:
    assert not any(is_public(text) for text in ("", "example.com", "fe80::1%eth0", "1.2.3", "::ffff:1.2.3"))
