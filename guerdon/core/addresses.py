"""Where messages may be sent: https addresses on the public internet, however they are spelled.

Two looks. `refusal` judges the URL as it is registered: it catches what can be seen. `is_public` judges the address
that a name leads to, each time right before a connection is made to that very address; it is what protects, since
names change their minds.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

URL_MAX = 2_000
NOT_PUBLIC = "not a public address"
NO_PUBLIC_NAME = "not a public name"
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<user>[^/?#@]*@)?(?P<host>\[[^\]/?#]*\]|[^/?#:@]*)(?P<port>:[0-9]*)?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
_PORT_MAX = 65_535
_RESERVED = frozenset(("localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa", "test", "onion"))
"""Last labels that lead nowhere on the public internet (RFC 6761, RFC 6762, RFC 9476 and common use)."""
_EMBEDDING = tuple(
    (IPv6Network(network), shift)
    for network, shift in (
        ("::/96", 0),  # IPv4-compatible
        ("::ffff:0:0/96", 0),  # IPv4-mapped
        ("::ffff:0:0:0/96", 0),  # IPv4-translated
        ("64:ff9b::/96", 0),  # NAT64
        ("2002::/16", 80),  # 6to4
    )
)
"""IPv6 networks whose addresses carry an IPv4 address, and how many bits stand behind it."""
_NEVER = tuple(
    IPv6Network(network)
    for network in ("64:ff9b:1::/48", "2001::/23", "fec0::/10", "5f00::/16", "3fff::/20", "100::/64")
)
"""NAT64 of one's own, protocol assignments with Teredo, site-local, segment routing, documentation, discard."""
_NEVER_4 = ("192.0.0.", "192.88.99.")
"""Protocol assignments, among them a metadata service; relays into 6to4."""


def refusal(url: str, *, private: bool = False) -> str:
    """Why messages cannot go to this URL, "" if they can as far as one can see. `private` lets them go to any host and
    over plain http."""
    if len(url) > URL_MAX:
        return f"at most {URL_MAX} characters"
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return "printable ASCII only; write names of other scripts in their xn-- form"
    found = _URL.fullmatch(url)
    if found is None:
        return "https://host/path is expected, without a fragment"
    if found["scheme"].lower() != "https" and not (private and found["scheme"].lower() == "http"):
        return "only https"
    if found["user"] is not None:
        return "no user or password: messages are signed"
    if found["port"] and not (found["port"][1:].isdigit() and 1 <= int(found["port"][1:]) <= _PORT_MAX):
        return "the port is out of range"
    return _host_refusal(found["host"], private=private)


def _host_refusal(host: str, *, private: bool) -> str:
    if not host:
        return "the host is missing"
    if host.startswith("["):
        try:
            address = IPv6Address(host[1:-1])
        except ValueError:
            return "not an IPv6 address"
        return "" if private or is_public(str(address)) else NOT_PUBLIC
    if "%" in host:
        return "no escapes in the host"
    name = host.rstrip(".")
    number = as_ipv4(name)
    if number is not None:
        return "" if private or is_public(str(number)) else NOT_PUBLIC
    labels = name.split(".")
    if len(name) > 253 or not all(_NAME.fullmatch(label) for label in labels):
        return "not a host name"
    if private:
        return ""
    if labels[-1].isdigit() or re.fullmatch(r"0x[0-9a-f]*", labels[-1], re.IGNORECASE):
        return "not an IPv4 address"
    if len(labels) < 2 or labels[-1].lower() in _RESERVED:
        return NO_PUBLIC_NAME
    return ""


def as_ipv4(text: str) -> IPv4Address | None:
    """The IPv4 address that resolvers read from a text (`inet_aton`): one to four numbers, decimal, octal or
    hexadecimal, the last of which fills what is left. None when it is no such thing."""
    parts = text.split(".")
    if not 1 <= len(parts) <= 4:
        return None
    numbers: list[int] = []
    for part in parts:
        if re.fullmatch(r"0x[0-9a-f]+", part, re.IGNORECASE):
            numbers.append(int(part, 16))
        elif re.fullmatch(r"0[0-7]*", part):
            numbers.append(int(part, 8))
        elif re.fullmatch(r"[1-9][0-9]*", part) and len(part) <= 10:
            numbers.append(int(part))
        else:
            return None
    *first, last = numbers
    if any(number > 255 for number in first) or last >= 1 << 8 * (4 - len(first)):
        return None
    value = last
    for position, number in enumerate(first):
        value |= number << 8 * (3 - position)
    return IPv4Address(value)


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet. What carries an IPv4 address is judged by that."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        if found.scope_id is not None or any(found in network for network in _NEVER):
            return False
        for network, shift in _EMBEDDING:
            if found in network:
                return is_public(str(IPv4Address(int(found) >> shift & 0xFFFFFFFF)))
    elif str(found).startswith(_NEVER_4):
        return False
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)
