"""Which proxy a call goes by: the environment's variables, read as ``requests`` reads them, in this one place.

Lower case wins over upper case, the scheme's own variable over ``all_proxy``, and ``no_proxy`` over both. Addresses of
this machine itself follow the same rule as any.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from vrbench.cloud.errors import ConfigurationError
from vrbench.core.text import visible

_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the variable that names it; ``shown`` is its address without user and password."""

    url: str = field(repr=False)
    variable: str
    shown: str

    def __str__(self) -> str:
        return f"the proxy {self.shown} (from ${self.variable})"

    @property
    def has_password(self) -> bool:
        return "@" in self.url


def acting_proxy(endpoint: str) -> Proxy | None:
    """Return the proxy that the endpoint is asked by; None where the way is direct. Raises ConfigurationError."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from requests import Request
    from requests.utils import resolve_proxies

    scheme = urlsplit(endpoint).scheme
    url = resolve_proxies(Request("POST", endpoint).prepare(), {}).get(scheme, "")
    if not url or _excepted(endpoint):
        return None
    variable = next(name for name in _variables(scheme) if os.environ[name] == url)
    return _checked(url if "://" in url else f"http://{url}", variable)


def _variables(scheme: str) -> Iterator[str]:
    """Yield the variables that may name a proxy for a scheme, the one that wins first."""
    for wanted in (f"{scheme}_proxy", "all_proxy"):
        yield from sorted((name for name in os.environ if name.lower() == wanted), reverse=True)


def _excepted(endpoint: str) -> bool:
    """Return whether ``no_proxy`` means this address in a way that ``requests`` does not know.

    That is an address with its port, a network of IPv6, and ``*`` among others.
    """
    parts = urlsplit(endpoint)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return any(_means(entry.strip(), parts.hostname or "", port) for entry in named.split(","))


def _means(entry: str, host: str, port: int) -> bool:
    if entry in ("*", f"{host}:{port}", f"[{host}]:{port}", f"[{host}]"):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:  # a name, not an address
        return False


def _checked(url: str, variable: str) -> Proxy:
    """Return the proxy, once it can be one. Raises ConfigurationError, which shows no password."""
    problem = _problem(url)
    if problem:
        raise ConfigurationError(
            f"the proxy from ${variable} {problem}",
            f"correct ${variable}, which looks like http://proxy.example.org:3128, or name the endpoint's host in "
            "$no_proxy",
        )
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return Proxy(url, variable, f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}")


def _problem(url: str) -> str:
    """Return what is wrong with a proxy's address; '' when nothing is."""
    if visible(url) != url or any(c.isspace() for c in url):
        return "holds a space or a character that can't be seen"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "has no valid host and port"
    if parts.scheme not in _SCHEMES:
        return f"is of a kind that is not known here ({parts.scheme}://)"
    if not host or port == 0:
        return "has no valid host and port"
    if parts.scheme.startswith("socks") and importlib.util.find_spec("socks") is None:
        return "is of the kind SOCKS, which needs a library that is not there (pip install PySocks)"
    return ""
