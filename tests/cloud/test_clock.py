"""How far this machine's clock is from the server's, by the Date of any answer it gives."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vrbench.cloud import transport
from vrbench.cloud.clock import clock_offset_s
from vrbench.cloud.credentials import Credentials


@contextmanager
def answering(status: int, date: str | None, certificate: Path | None = None) -> Iterator[str]:
    """Provide the address of a server that gives one answer, over TLS where there is a certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status)
            if date is not None:
                self.send_header("Date", date)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # refused handshakes are meant
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}/client/api"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def asked(endpoint: str, verify: bool | str = True) -> float | None:
    """Return what is made of the server's answer."""
    return clock_offset_s(Credentials(endpoint, "key", "secret", verify))


@pytest.mark.parametrize("status", [200, 401, 503])
def test_any_answer_tells_the_time(status: int) -> None:
    """An hour behind: this machine is ahead by as much, to a second or two."""
    with answering(status, formatdate(time.time() - 3600, usegmt=True)) as endpoint:
        offset_s = asked(endpoint)
    assert offset_s is not None
    assert 3590 < offset_s < 3610


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_a_server_that_tells_no_time_is_no_error(date: str | None) -> None:
    """Without a date, or with one that is none, nothing is known."""
    with answering(200, date) as endpoint:
        assert asked(endpoint) is None


def test_no_answer_is_an_error() -> None:
    with answering(200, None) as endpoint:
        pass
    with pytest.raises(OSError, match="refused"):
        asked(endpoint)


def test_certificates_are_checked_as_for_calls(certificate: Path) -> None:
    """Unknown ones are refused, unless they stand in the bundle or nothing is to be checked."""
    with answering(200, formatdate(usegmt=True), certificate) as endpoint:
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            asked(endpoint)
        for verify in (str(certificate), False):
            offset_s = asked(endpoint, verify)
            assert offset_s is not None
            assert abs(offset_s) < 10


@contextmanager
def tunnelling() -> Iterator[tuple[str, list[bytes]]]:
    """Provide the address of a proxy that lets TLS through, and what it was asked for."""
    asked_for: list[bytes] = []

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            asked_for.append(client.recv(65536).split(b"\r\n")[0])
            host, _, port = asked_for[0].split()[1].decode().partition(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=_pump, args=(server, client))
                back.start()
                _pump(client, server)
                back.join()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked_for
        thread.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    while part := source.recv(65536):
        sink.sendall(part)
    sink.shutdown(socket.SHUT_WR)


def test_a_proxy_on_the_way_changes_nothing(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tunnel's own answer is read by the same limits as the server's."""
    monkeypatch.setattr(transport, "_is_loopback", lambda _: False)
    with answering(200, formatdate(usegmt=True), certificate) as endpoint, tunnelling() as (proxy, asked_for):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        offset_s = asked(endpoint, str(certificate))
    assert offset_s is not None
    assert asked_for[0].startswith(b"CONNECT 127.0.0.1:")
