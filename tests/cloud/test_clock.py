"""How far this machine's clock is from the server's, by the Date of any answer it gives to a call."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cloud.server import fake_cloud, raw
from vrbench.cloud import errors
from vrbench.cloud.api.clock import ClockReading, read_clock
from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.credentials.credentials import Credentials


@contextmanager
def answering(status: int, date: Callable[[], str] | None, certificate: Path | None = None) -> Iterator[str]:
    """Provide the address of a server that gives one answer, over TLS where there is a certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"listzonesresponse": {}}' if status == 200 else b"<html></html>"
            self.send_response_only(status)
            if date is not None:
                self.send_header("Date", date())
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

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


def told(ahead_s: float = 0.0) -> str:
    """Return the time of day as a server tells it."""
    return formatdate(time.time() + ahead_s, usegmt=True)


def asked(endpoint: str, verify: bool | str = True) -> ClockReading | None:
    """Return what the answer to one call told, whatever else it was."""
    cloud = Cloud(Credentials(endpoint, "key", "secret", verify), patience_s=0)
    with contextlib.suppress(errors.NotCloudStack, errors.TurnedAway):  # an answer all the same
        cloud.call("listZones")
    return cloud.clock


@pytest.mark.parametrize("status", [200, 302, 401, 503])
def test_any_answer_tells_the_time(status: int) -> None:
    """An hour behind: this machine is ahead by as much, within the bounds."""
    with answering(status, lambda: told(-3600)) as endpoint:
        clock = asked(endpoint)
    assert clock is not None
    assert abs(clock.offset_s - 3600) <= clock.error_s


@pytest.mark.parametrize("date", [None, lambda: "yesterday"])
def test_a_server_that_tells_no_time_is_no_error(date: Callable[[], str] | None) -> None:
    """Without a date, or with one that is none, nothing is known."""
    with answering(200, date) as endpoint:
        assert asked(endpoint) is None


def test_no_answer_tells_no_time() -> None:
    with answering(200, None) as endpoint:
        pass
    with pytest.raises(errors.CloudUnreachable, match="refused"):
        asked(endpoint)


def test_the_bounds_hold_the_truth() -> None:
    """The header's second began up to a second before; the answer was made between asking and its coming."""
    clock = read_clock("Tue, 24 Nov 2026 12:00:00 GMT", 1795521600.0, 1795521604.0)
    assert clock == ClockReading(1.5, 2.5)
    for served_at in (1795521600.0, 1795521600.999):
        for made_at in (1795521600.0, 1795521604.0):
            assert abs((made_at - served_at) - clock.offset_s) <= clock.error_s


def test_the_most_exact_answer_counts() -> None:
    """One that took long says little."""
    cloud = Cloud(Credentials("http://cloud.example.org/client/api", "key", "secret"))
    for read in (ClockReading(9.0, 8.0), ClockReading(1.0, 0.5), None, ClockReading(20.0, 30.0)):
        cloud._channel._set_clock(read)
    assert cloud.clock == ClockReading(1.0, 0.5)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")  # as the command line has it
def test_certificates_are_checked_for_every_call(certificate: Path) -> None:
    """Unknown ones are refused, unless they stand in the bundle or nothing is to be checked."""
    with answering(200, told, certificate) as endpoint:
        with pytest.raises(errors.CloudUnreachable, match="its certificate is self-signed"):
            asked(endpoint)
        for verify in (str(certificate), False):
            clock = asked(endpoint, verify)
            assert clock is not None
            assert abs(clock.offset_s) <= clock.error_s


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on what comes, to its end."""
    while part := source.recv(65536):
        sink.sendall(part)
    sink.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize(
    ("ahead_s", "words"),
    [(9000, r"This machine's clock is \d{4} s behind the server's: set it\.$"), (60, r"minutes\.$")],
)
def test_a_signature_that_is_refused_names_the_clock_that_is_off(ahead_s: float, words: str) -> None:
    """The server says the same of a wrong secret: only its Date tells which it is."""
    text = "unable to verify user credentials and/or request signature"
    body = f'{{"listzonesresponse": {{"errorcode": 401, "errortext": "{text}"}}}}'
    head = f"HTTP/1.1 401 Unauthorized\r\nDate: {told(ahead_s)}\r\nContent-Length: {len(body)}\r\n\r\n"
    with fake_cloud(raw((head + body).encode())) as fake, pytest.raises(errors.WrongCredentials, match=words):
        Cloud(fake.credentials()).call("listZones")
