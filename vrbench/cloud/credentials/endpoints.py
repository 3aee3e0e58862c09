"""Endpoints: which can be one, which are the same, and how one is shown without what may be a password in it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from vrbench.cloud.credentials.written import Written, check_word
from vrbench.cloud.errors import ConfigurationError
from vrbench.core.text import character
from vrbench.core.values import quoted

_PORTS = {"http": 80, "https": 443}


def check_endpoint(found: Written) -> None:
    """Refuse what is no plain http(s) address. Raises ConfigurationError."""
    check_word("endpoint", found)
    reason = _not_an_address(found.value)
    if reason:
        odd = next((i for i, c in enumerate(found.value) if not c.isascii()), None)
        held = f"; it holds {character(found.value[odd])} at {found.at(odd)}" if odd is not None else ""
        shown = f" {quoted(harmless(found.value))}" if "://" in found.value else ""
        raise ConfigurationError(
            f"the endpoint{shown} from {found.source} {reason}{held}",
            "it looks like https://cloud.example.org/client/api",
        )


def harmless(endpoint: str) -> str:
    """Return an endpoint without what may be a password or a key; '' for what is no address at all."""
    scheme, slashes, rest = endpoint.partition("://")
    return scheme + slashes + re.split(r"[?#]", rest.rpartition("@")[2])[0] if slashes else ""


def same_endpoint(one: str, other: str) -> bool:
    """Return whether two addresses are one: in other letters, with the usual port, or a slash at the end."""
    return _plain(one) == _plain(other)


def _plain(endpoint: str) -> tuple[object, ...]:
    try:
        parts = urlsplit(endpoint)
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme), parts.path.rstrip("/"), parts.query
    except ValueError:
        return (endpoint,)


def _not_an_address(endpoint: str) -> str:
    """Return what is wrong with an endpoint; '' when nothing is."""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError:  # of an address in brackets, or of a port that is none
        return "has no valid host and port"
    if parts.scheme not in _PORTS:
        return "is no http(s) address"
    if not host or port == 0 or not _may_be_host(host):
        return "has no valid host and port"
    if "@" in parts.netloc:
        return "holds a user's name, which CloudStack has no use for"
    if parts.query or parts.fragment:
        return "holds more than an address"
    return "" if len(endpoint) <= 2000 else "is longer than any address"


def _may_be_host(host: str) -> bool:
    """Return whether it can be looked up at all."""
    try:
        return bool(host.encode("idna")) and not set(host) & set("%\\<>^`{|}")
    except UnicodeError:
        return False
