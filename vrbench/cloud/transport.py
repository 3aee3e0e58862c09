"""HTTP as the API needs it: one request, one whole answer, within one time limit and one size limit.

HTTP libraries limit each read: a server that sends a byte now and then holds them for ever, and what a small packed
answer unpacks to has no limit at all. Here every wait, from the first byte of the answer to its last, ends at one
moment. Imported once a call is made: it loads the HTTP libraries.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
import zlib
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from vrbench.cloud.answers import Received
from vrbench.cloud.credentials import Credentials

CONNECT_S: Final = 30.0
MOST_BYTES: Final = 32 << 20  # of one answer, unpacked: a page of 500 rows has 5 MB at most
MOST_PACKED: Final = 300  # times its size that an answer may unpack to; 500 like rows pack to a 150th
_PART: Final = 1 << 14  # read, and unpacked, at once
_TOO_LONG: Final = f"its answer is longer than {MOST_BYTES >> 20} MiB"


class AnswerTooLarge(Exception):
    """The answer has no end, as far as anybody wants to read."""


class Wire(HTTPAdapter):
    """The way to one server, for one thread: keeps what came back last, and hands on an empty answer in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.received = Received(0, {}, b"")
        self.sent = False  # whether the last request went out, as far as this side can tell
        self._until = 0.0

    # As the base class has it, which names seven.
    def send(self, request: requests.PreparedRequest, *_: Any, timeout: Any = None, **how: Any) -> requests.Response:
        """Send, and read the whole answer within ``timeout`` seconds.

        Raises RequestException or AnswerTooLarge; a redirect is TooManyRedirects, for it would carry a signed request
        to a host that nobody named.
        """
        self._until = time.monotonic() + timeout
        self.sent = False
        try:
            response = super().send(request, **{**how, "stream": True, "timeout": (min(timeout, CONNECT_S), timeout)})
            self.received = Received(response.status_code, response.headers, _whole(response.raw))
        except (requests.RequestException, urllib3.exceptions.HTTPError, zlib.error, ValueError) as error:
            self.close()  # what is left of this answer must not be taken for the next one
            raise _as_requests(error, request) from None
        if response.is_redirect:
            raise requests.TooManyRedirects("not followed", request=request, response=response)
        response.raw = io.BytesIO()
        return response

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pool as it is, but that its connections read answers by our clock."""
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        connect = type(pool).ConnectionCls

        def connected(*args: Any, **kwargs: Any) -> Any:
            connection: Any = connect(*args, **kwargs)
            connection.response_class = self._answer
            return connection

        pool.ConnectionCls = connected  # type: ignore[assignment]
        return pool

    def _answer(self, sock: socket.socket, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
        self.sent = True
        return _Answer(self._until, sock, *args, **kwargs)


def _as_requests(error: Exception, request: requests.PreparedRequest) -> requests.RequestException:
    """Return what a library raised over an answer as the exception that ``requests`` has for it."""
    if isinstance(error, requests.RequestException):
        return error
    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        return requests.ReadTimeout(error, request=request)
    if isinstance(error, zlib.error):
        return requests.exceptions.ContentDecodingError(error, request=request)
    return requests.ConnectionError(error, request=request)  # a ValueError, too: nonsense that no library looks for


def session(wire: Wire, credentials: Credentials) -> requests.Session:
    """Return a session that goes by this way only; what it sends says itself how certificates are checked."""
    made = requests.Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, wire)
    if credentials.verify is False:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the operator said so
    # A proxy set for the rest of the world can't reach our own loopback.
    made.trust_env = not _is_loopback(credentials.endpoint)
    return made


def plain_reason(error: requests.RequestException, text: str, timeout_s: float, sent: bool) -> tuple[str, str]:
    """Say in a few words what failed, and what to do about it ("" for the usual advice); ``text`` is redacted."""
    if isinstance(error, requests.TooManyRedirects):
        where = error.response.headers.get("Location", "") if error.response is not None else ""
        return f"it redirects to {where.partition('?')[0][:200]!r}", "Use that address as the endpoint."
    if isinstance(error, requests.exceptions.SSLError):
        return f"TLS failed: {text[-200:]}", "Give the CA's bundle as verify, or correct the server's certificate."
    if isinstance(error, requests.Timeout):
        return f"it took too long: no whole answer within {timeout_s:g} s", ""
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return "its answer can't be unpacked", ""
    known = {
        "NameResolutionError": "its name can't be resolved",
        "Connection refused": "the connection was refused",
        "reset by peer": "the connection was reset",
        "closed connection": "the connection was closed without an answer",
        "IncompleteRead": "the answer broke off half-way",
        "unreachable": "no route to it",
    }
    unsound = "what came is no sound HTTP" if sent else type(error).__name__
    return next((words for sign, words in known.items() if sign in text), unsound), ""


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


class _Answer(http.client.HTTPResponse):
    """An answer whose every part, status line and headers too, has to come before a moment."""

    def __init__(self, until: float, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Arriving(sock, self.fp.detach(), until))


class _Arriving(io.RawIOBase):
    """What a socket receives until a moment on the monotonic clock, and up to a size."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, until: float) -> None:
        self._sock = sock
        self._raw = raw
        self._until = until
        self._left = 2 * MOST_BYTES  # chunks of a byte each have more wrapping than content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the whole answer took too long")
        self._sock.settimeout(left_s)
        got = self._raw.readinto(buffer)
        self._left -= got or 0
        if self._left < 0:
            raise AnswerTooLarge(_TOO_LONG)
        return got

    def close(self) -> None:
        self._raw.close()
        super().close()


def _whole(raw: Any) -> bytes:
    """Read an answer to its end, unpacked. Raises AnswerTooLarge."""
    try:
        parts = raw.stream(_PART, decode_content=False)
        encoding = raw.headers.get("Content-Encoding", "").strip().lower()
        if encoding in ("gzip", "x-gzip", "deflate"):
            parts = _unpacked(parts)
        whole = bytearray()
        for part in parts:
            whole += part
            if len(whole) > MOST_BYTES:
                raise AnswerTooLarge(_TOO_LONG)
        return bytes(whole)
    except BaseException:
        raw.close()  # else the rest would be taken for the next answer
        raise


def _unpacked(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack a little at a time. Raises zlib.error, or AnswerTooLarge for what unpacks to too many times its size."""
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, as its head says
    packed = unpacked = 0
    for part in parts:
        packed += len(part)
        rest, some = part, b"more"
        while rest or some:
            some = unpack.decompress(rest, _PART)
            rest = unpack.unconsumed_tail
            unpacked += len(some)
            if unpacked > MOST_PACKED * packed + _PART:
                raise AnswerTooLarge(f"its packed answer unpacks to more than {MOST_PACKED} times its size")
            yield some
    if not unpack.eof:
        raise zlib.error("it ends half-way")
