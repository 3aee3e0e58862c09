"""What failed on the way to a server, in words, and what to do about it: names, routes, proxies, TLS.

Reads what libraries say, and asks nobody. A proxy on the way is named with the variable that it comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from vrbench.cloud.api.answers import Received
from vrbench.cloud.credentials.credentials import Credentials
from vrbench.cloud.credentials.proxies import Proxy

PROXY_WANTS_PASSWORD: Final = 407  # a proxy says so, of a call that it has not handed on
Why = tuple[str, str]  # what failed, and what to do about it ("": the usual advice)

_SYSTEM_BUNDLES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
USUAL_ADVICE: Final = "The address usually ends in /client/api; a proxy or a server that is starting also answers so."
_NO_TLS: Final = ("HTTP request was sent to HTTPS", "HTTP request to an HTTPS server", "HTTP to an SSL-enabled server")
_WANTS_CERTIFICATE: Final = (
    "it wants a certificate of its clients, and got none that it knows",
    "Name yours by CLOUDSTACK_CERT and CLOUDSTACK_CERT_KEY, or as cert and cert_key in cloudstack.ini.",
)
_MAY_BE_TLS: Final = (
    "Check the address, and that the server is up. If TLS is spoken there, write https:// in the endpoint."
)
RESET: Final = "the connection was reset"
CLOSED: Final = "the connection was closed without an answer"
_NETWORK: Final = {
    "NameResolutionError": "its name can't be resolved",
    "Connection refused": "the connection was refused",
    "reset by peer": RESET,
    "closed connection": CLOSED,
    "IncompleteRead": "the answer broke off half-way",
    "unreachable": "no route to it",
}


@dataclass(frozen=True, slots=True)
class HowAsked:
    """How an endpoint was asked, as far as it matters for what went wrong."""

    endpoint: str
    verify: bool | str = True
    proxy: Proxy | None = None
    timeout_s: float = 60.0
    sent: bool = False  # the request was handed over whole
    environ: frozenset[str] = field(default_factory=frozenset)  # names of variables that are set

    @classmethod
    def of(cls, asks: Credentials, timeout_s: float, sent: bool, environ: Iterable[str]) -> HowAsked:
        """Return the way of these credentials."""
        return cls(asks.endpoint, asks.verify, asks.proxy, timeout_s, sent, frozenset(environ))

    @property
    def host(self) -> str:
        return urlsplit(self.endpoint).hostname or ""


def why_not(kind: str, text: str, asking: HowAsked) -> Why:
    """Say why no answer came: ``kind`` is the name of the library's exception, ``text`` what it says, redacted."""
    if kind == "ContentDecodingError":
        return "its answer can't be unpacked", ""
    if "x15\\x03" in text or "\x15\x03" in text:
        return "it answers as a server of TLS does", "Write https:// instead of http:// in the endpoint."
    proxy = asking.proxy
    if kind == "SSLError" and not (proxy and "proxy" in text.lower()):
        return _tls(text, asking)
    if proxy and not asking.sent:
        return _of_proxy(proxy, text, asking)
    reason = _network(kind, text, asking)
    if asking.sent and not proxy and asking.endpoint.startswith("http:") and reason in (CLOSED, RESET):
        return reason, _MAY_BE_TLS
    return (f"{reason} (by way of {proxy})", _look_at(proxy, asking)) if proxy else (reason, "")


def _network(kind: str, text: str, asking: HowAsked) -> str:
    if "Timeout" in kind or "timed out" in text or "too long" in text:
        return f"it took too long: no whole answer within {asking.timeout_s:g} s"
    unsound = "what came is no sound HTTP" if asking.sent else kind
    return next((words for sign, words in _NETWORK.items() if sign in text), unsound)


# -- proxies


def _of_proxy(proxy: Proxy, text: str, asking: HowAsked) -> Why:
    """Say what is wrong with a proxy by which nothing was handed over."""
    refused = re.search(r"Tunnel connection failed: (\d{3}) ?([^'\")]{0,60})", text)
    if refused is None:
        reason = _network("the way by it failed", text, asking)
        if "SSL" in text:
            reason = "it speaks no TLS; write http:// for it"
        return f"{proxy} is at fault: {reason}", _look_at(proxy, asking)
    if refused[1] == "407":
        return proxy_wants_password(proxy)
    said = f"{refused[1]} {refused[2]}".strip()
    return f"{proxy} does not connect to {asking.host}: it answers {said}", _look_at(proxy, asking)


def proxy_wants_password(proxy: Proxy) -> Why:
    """Say that a proxy lets in only whom it knows."""
    if proxy.has_password:
        return f"{proxy} refuses the user and password that ${proxy.variable} has (407)", f"Correct ${proxy.variable}."
    return (
        f"{proxy} wants a user and a password (407)",
        f"Write them into ${proxy.variable}, as http://USER:PASSWORD@host:port.",
    )


def _look_at(proxy: Proxy, asking: HowAsked) -> str:
    return f"Look at that proxy, correct ${proxy.variable}, or name {asking.host} in $no_proxy to go without."


# -- answers that are nobody's


def of_page(received: Received, asking: HowAsked) -> Why:
    """Say what may be behind an answer that is not CloudStack's: more words ("" for none), and what to do."""
    start = received.body[:4096].decode(errors="replace")
    if any(words in start for words in _NO_TLS):
        return "TLS is spoken there", "Write https:// instead of http:// in the endpoint."
    if "SSL certificate was sent" in start:
        return _WANTS_CERTIFICATE
    if asking.proxy and received.status == PROXY_WANTS_PASSWORD:
        return proxy_wants_password(asking.proxy)
    if asking.proxy and asking.endpoint.startswith("http:"):
        return f"this came by way of {asking.proxy}, which may have said it itself", _look_at(asking.proxy, asking)
    return "", USUAL_ADVICE


# -- TLS


def _tls(text: str, asking: HowAsked) -> Why:
    """Say what kept TLS from being set up; ``text`` is OpenSSL's, behind much of the library's."""
    for signs, reason, advice in _TLS:
        if any(sign in text for sign in signs):
            return reason.format(asking.host), advice.format(bundle=_bundle_advice(asking), host=asking.host)
    return f"TLS failed: {text[-200:]}", "Give the CA's bundle as verify, or correct the server's certificate."


def _bundle_advice(asking: HowAsked) -> str:
    """Say where the right certificates are to be named."""
    if isinstance(asking.verify, str):
        return f"Add it to {asking.verify}, which is what was named to be trusted."
    known = next((path for path in _SYSTEM_BUNDLES if Path(path).is_file()), "")
    told = "Name the file that holds it by CLOUDSTACK_VERIFY, or as verify in cloudstack.ini"
    told += f" (what this system trusts is in {known})." if known else "."
    if asking.environ & {"SSL_CERT_FILE", "SSL_CERT_DIR"}:
        told += " SSL_CERT_FILE and SSL_CERT_DIR are not read for this."
    return f"{told} What is on the way, {asking.proxy}, may put its own certificate in place." if asking.proxy else told


_TLS: Final = (  # what OpenSSL says, what it means, what to do; the first that fits counts
    (
        ("self-signed certificate in certificate chain", "self signed certificate in certificate chain",
         "unable to get local issuer", "unable to get issuer"),
        "its certificate is signed by a CA that is not known here",
        "{bundle} Or have the server send the whole chain of its certificates.",
    ),
    (
        ("self-signed certificate", "self signed certificate"),
        "its certificate is self-signed",
        "{bundle} Compare its fingerprint with the administrator's first.",
    ),
    (
        ("certificate has expired",),
        "its certificate has expired",
        "Have it renewed. If it is good until later, this machine's clock is wrong: set it.",
    ),
    (
        ("not yet valid",),
        "its certificate is not valid yet",
        "Set this machine's clock; if that is right, the certificate is for later.",
    ),
    (
        ("Hostname mismatch", "IP address mismatch", "doesn't match"),
        "its certificate is for other names than {}",
        "Write a name that the certificate has into the endpoint, or have {host} added to the certificate.",
    ),
    (
        ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"),
        "what answers there speaks no TLS, but plain HTTP perhaps",
        "Write http:// instead of https:// in the endpoint, or the port of HTTPS.",
    ),
    (
        ("UNSUPPORTED_PROTOCOL", "PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE", "VERSION_TOO_LOW"),
        "it speaks no version of TLS that this machine takes (1.2 or newer)",
        "Have TLS 1.2 or 1.3 switched on at the server.",
    ),
    (
        ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "ALERT_UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "ALERT_CERTIFICATE"),
        *_WANTS_CERTIFICATE,
    ),
    (
        ("HANDSHAKE_FAILURE", "NO_SHARED_CIPHER", "NO_CIPHERS"),
        "it and this machine have no cipher in common, or it wants a certificate of its clients",
        "Have it take what TLS 1.2 and 1.3 use today; a certificate is named by CLOUDSTACK_CERT.",
    ),
    (
        ("KEY_TOO_SMALL", "key too weak", "MD_TOO_WEAK", "algorithm too weak", "UNSAFE_LEGACY"),
        "its keys, certificates or protocol are weaker than this machine takes",
        "Have the server's certificate made anew: RSA of 2048 bits or more, SHA-256.",
    ),
    (
        ("UNEXPECTED_EOF", "EOF occurred", "reset by peer"),
        "the connection was closed while TLS was being set up",
        "See whether this is the port of HTTPS, and what the server's or the proxy's log says.",
    ),
)  # fmt: skip
