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
import weakref
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import requests
import urllib3
from requests.adapters import HTTPAdapter

from vrbench.cloud.api.answers import Received
from vrbench.cloud.api.clock import ClockReading, read_clock
from vrbench.cloud.credentials.credentials import Credentials

CONNECT_S: Final = 30.0
WORN_S: Final = 2.0  # a connection that was idle for longer is not used again: servers close theirs after five or more
MOST_BYTES: Final = 32 << 20  # of one answer, unpacked: a page of 500 rows has 5 MB at most
MOST_PACKED: Final = 300  # times its size that an answer may unpack to; 500 like rows pack to a 150th
_PART: Final = 1 << 14  # read, and unpacked, at once
_TOO_LONG: Final = f"its answer is longer than {MOST_BYTES >> 20} MiB"


class AnswerTooLarge(Exception):
    """The answer has no end, as far as anybody wants to read."""


class Wire(HTTPAdapter):
    """The way to one server, for one thread: keeps what came back last, and hands on an empty answer in its place.

    ``harmless``: whether the next request may be sent twice. Such go by a connection that is kept for a moment. What
    changes something has one of its own: a server may close a kept one while the call is on its way.
    """

    def __init__(self) -> None:
        super().__init__()
        self.received = Received(0, {}, b"")
        self.clock: ClockReading | None = None  # by the last answer
        self.sent = False  # whether the last request was handed over whole, so that it may have arrived
        self.harmless = False
        self._until = 0.0
        self._used = 0.0  # when this way was last used
        self._on: object = None  # the socket that the last request went by
        self._worn = False  # whether that socket had served a request before
        self._asked = 0.0

    # As the base class has it, which names seven.
    def send(self, request: requests.PreparedRequest, *_: Any, timeout: Any = None, **how: Any) -> requests.Response:
        """Send, and read the whole answer within ``timeout`` seconds.

        Raises RequestException or AnswerTooLarge; a redirect is TooManyRedirects, for it would carry a signed request
        to a host that nobody named.
        """
        self._until = time.monotonic() + timeout
        if not self.harmless or time.monotonic() - self._used > WORN_S:
            self.close()
        try:
            response = self._exchange(request, timeout, how)
        except requests.RequestException as error:
            if not self._closed_meanwhile(error):
                raise
            response = self._exchange(request, timeout, how)
        if response.is_redirect:
            raise requests.TooManyRedirects("not followed", request=request, response=response)
        response.raw = io.BytesIO()
        return response

    def _exchange(self, request: requests.PreparedRequest, timeout: float, how: dict[str, Any]) -> requests.Response:
        self.sent, self._worn = False, False
        limits = (min(timeout, CONNECT_S), timeout)
        try:
            response = super().send(request, **{**how, "stream": True, "timeout": limits})
            self.clock = read_clock(response.headers.get("Date", ""), self._asked, time.time())
            self.received = Received(response.status_code, response.headers, _whole(response.raw))
        except (requests.RequestException, urllib3.exceptions.HTTPError, zlib.error, ValueError) as error:
            self.close()  # what is left of this answer must not be taken for the next one
            raise _as_requests(error, request) from None
        self._used = time.monotonic()
        return response

    def _closed_meanwhile(self, error: requests.RequestException) -> bool:
        """Return whether the server had closed a connection kept from before: what only looks is then sent again."""
        broken = isinstance(error, requests.ConnectionError) and not isinstance(error, requests.Timeout)
        return self._worn and broken

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pool as it is, but that its connections read answers by our clock, and tell what was sent."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        connect = pool.ConnectionCls
        me = weakref.ref(self)  # urllib3 keeps connections until their pool goes, and this must not keep the pool
        if getattr(connect, "watched_by", None) == me:
            return pool

        def connected(*args: Any, **kwargs: Any) -> Any:
            connection: Any = connect(*args, **kwargs)
            connection.response_class = partial(_answer, me)
            connection.request = partial(_hand_over, me, connection, connection.request)
            return connection

        connected.watched_by = me  # type: ignore[attr-defined]
        pool.ConnectionCls = connected
        return pool

    def _hand_over(self, connection: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        """Send a request whole; the moment is noted, and whether the connection had served one before."""
        self._worn = connection.sock is not None and connection.sock is self._on
        request(*args, **kwargs)
        self.sent, self._on, self._asked = True, connection.sock, time.time()

    def _answer(self, sock: socket.socket, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
        return _Answer(self._until, sock, *args, **kwargs)


def _answer(wire: weakref.ref[Wire], *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
    here = wire()
    assert here, "an answer is read by the way that asked"
    return here._answer(*args, **kwargs)


def _hand_over(wire: weakref.ref[Wire], *args: Any, **kwargs: Any) -> None:
    here = wire()
    assert here, "a request is sent by the way that asks"
    here._hand_over(*args, **kwargs)


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
    made.trust_env = False  # what the environment says of proxies and certificates stands in the credentials
    for scheme in ("http://", "https://"):
        made.mount(scheme, wire)
        if credentials.proxy:
            made.proxies[scheme.removesuffix("://")] = credentials.proxy.url
    return made


def redirected(error: requests.RequestException) -> tuple[str, str] | None:
    """Return where a redirect leads, and what to do; None where it is none."""
    if not isinstance(error, requests.TooManyRedirects):
        return None
    where = error.response.headers.get("Location", "") if error.response is not None else ""
    return f"it redirects to {where.partition('?')[0][:200]!r}", "Use that address as the endpoint."


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
