"""What is put under load: a plain HTTP URL, and the addresses that its name stands for."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit


class Refused(ValueError):
    """A target that is not put under load; the text says why and what is accepted."""


@dataclass(frozen=True)
class Url:
    """`http://HOST:PORT/path`, taken apart."""

    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return f"http://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        """The host, in brackets where it is an IPv6 address, and the port."""
        return f"{bracketed(self.host)}:{self.port}"


def bracketed(host: str) -> str:
    """IPv6 addresses stand in brackets wherever a port follows."""
    return f"[{host}]" if ":" in host else host


def parse_url(text: str) -> Url:
    """Takes a URL apart; raises Refused when it is not one of plain HTTP."""
    if re.search(r"[\x00-\x20\x7f]", text):
        raise Refused(f"{text!r}: a URL holds no space and no control character")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise Refused(f"{text!r}: {error}; accepted: http://HOST[:PORT]/PATH")
    if parts.scheme == "https":
        raise Refused(
            f"{text!r}: https is not loaded, since the balancer passes TLS through and the "
            "figures would be of the targets' TLS; accepted: http://HOST[:PORT]/PATH"
        )
    if parts.scheme != "http" or not parts.hostname:
        raise Refused(f"{text!r}: not an HTTP URL; accepted: http://HOST[:PORT]/PATH")
    if parts.username is not None or parts.fragment:
        raise Refused(f"{text!r}: no user and no fragment; accepted: http://HOST[:PORT]/PATH")
    if port == 0:
        raise Refused(f"{text!r}: port 0; accepted: 1 to 65535")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Url(parts.hostname, port or 80, path)


def resolve(url: Url) -> list[str]:
    """Every address that the host's name stands for; raises Refused where there is none."""
    try:
        found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise Refused(f"{url.host!r} cannot be resolved: {getattr(error, 'strerror', error)}")
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_loopback(address: str) -> bool:
    """127.0.0.0/8, ::1, and the former mapped into IPv6."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def refuse_strangers(url: Url, addresses: list[str], is_mine: bool) -> None:
    """Raises Refused for an address that is not loopback, unless it was said to be ours."""
    strangers = [address for address in addresses if not is_loopback(address)]
    if strangers and not is_mine:
        name = "" if strangers == [url.host] else f" (of {url.host})"
        raise Refused(
            f"{', '.join(strangers)}{name} is not a loopback address: load on machines of others "
            "is an attack; say --target-is-mine if you may put load on it"
        )
