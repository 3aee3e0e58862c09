"""The HTTP side: keep-alive connections on sockets that somebody else bound, GET and form POST."""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from vrbench.lab.api.request.responses import Reply

Answer = Callable[[str, Sequence[tuple[str, str]], Mapping[str, str]], Reply]

PATHS = ("/client/api", "/client/api/")
MAX_BODY = 4 * 1024 * 1024
IDLE_S = 120.0

log = logging.getLogger(__name__)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_S
    server: _Server

    def do_GET(self) -> None:
        self._respond("")

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", "0"))
        except ValueError:
            length = -1
        if not 0 <= length <= MAX_BODY:
            self.close_connection = True
            self._send(Reply(400, "text/plain", b"Bad content length"))
            return
        self._respond(self.rfile.read(length).decode("utf-8", "replace"))

    def _respond(self, form: str) -> None:
        url = urlsplit(self.path)
        if url.path not in PATHS:
            self._send(Reply(404, "text/plain", b"Not found"))
            return
        params = [*parse_qsl(url.query, keep_blank_values=True), *parse_qsl(form, keep_blank_values=True)]
        self._send(self.server.answer(self.command, params, self._cookies()))

    def _cookies(self) -> Mapping[str, str]:
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load(self.headers.get("Cookie", ""))
        except CookieError:
            return {}
        return {name: morsel.value for name, morsel in jar.items()}

    def _send(self, reply: Reply) -> None:
        if reply.status == 0:
            self._hang_up()
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def _hang_up(self) -> None:
        """Give no answer: reset the caller's connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def version_string(self) -> str:
        return "Apache-CloudStack-lab"

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a request line carries keys and signatures."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, answer: Answer) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()  # the one that the base class made
        self.socket = listener
        self.answer = answer
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a bug of ours; a caller that goes away is its own business."""
        del request
        log.debug("connection from %s ended early", client_address, exc_info=True)

    def hang_up(self) -> None:
        """End the connections that are kept alive."""
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("connection was closed already")


class Web:
    """Serves ``answer`` on listening sockets until ``stop``; closes the sockets then."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._servers: list[_Server] = []
        self._threads: list[threading.Thread] = []

    def start(self, listeners: Sequence[socket.socket]) -> None:
        for listener in listeners:
            server = _Server(listener, self._answer)
            thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="lab-api", daemon=True)
            self._servers.append(server)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()
            server.hang_up()
        for thread in self._threads:
            thread.join()
        self._servers.clear()
        self._threads.clear()
