"""A loopback HTTP server that answers as told: for answers that no sane CloudStack gives."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from vrbench.cloud.credentials.credentials import Credentials

Behaviour = Callable[["Request"], None]

KEY, SECRET = "the-key+of/ours=", "the-secret+of/ours="


@dataclass
class Request:
    """One request, and the means to answer it."""

    handler: BaseHTTPRequestHandler
    params: dict[str, str]
    form: str
    released: threading.Event  # set when the test is over

    def answer(self, body: str, status: int = 200, content_type: str = "application/json", cut: int = 0) -> None:
        data = body.encode()
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", content_type)
        self.handler.send_header("Content-Length", str(len(data)))
        self.handler.end_headers()
        self.handler.wfile.write(data[: len(data) - cut])
        self.handler.close_connection = True


@dataclass
class Fake:
    """What the server was asked, and where it is."""

    endpoint: str
    requests: list[Request] = field(default_factory=list)

    def credentials(self) -> Credentials:
        return Credentials(self.endpoint, KEY, SECRET)


def says(command: str, body: dict[str, Any], status: int = 200) -> Behaviour:
    return lambda request: request.answer(json.dumps({f"{command.lower()}response": body}), status)


def refuses(command: str, code: int, text: str, cserrorcode: int = 9999) -> Behaviour:
    return says(command, {"uuidList": [], "errorcode": code, "cserrorcode": cserrorcode, "errortext": text}, code)


def job(status: int, **more: object) -> Behaviour:
    return says("queryAsyncJobResult", {"jobid": "j", "jobstatus": status, "jobresultcode": 0, **more})


def by_command(answers: Mapping[str, Behaviour]) -> Behaviour:
    """Answer each command in its own way; one that is not listed is refused as unknown."""

    def behave(request: Request) -> None:
        command = request.params["command"]
        answers.get(command, refuses(command, 432, "The given command does not exist"))(request)

    return behave


def page(status: int = 200) -> Behaviour:
    return lambda request: request.answer("<html><title>Welcome</title></html>", status, "text/html")


def echo(status: int = 200) -> Behaviour:
    """Answer with a page that shows the request, key and signature and all, as debugging proxies do."""
    return lambda request: request.answer(f"<html>{request.form}</html>", status, "text/html")


def half(request: Request) -> None:
    """Half a JSON document, then the end."""
    request.answer('{"listzonesresponse": {"count": 1, "zone": []}}', cut=20)


def broken(request: Request) -> None:
    """Answer with a document that is whole as far as HTTP goes, and no JSON."""
    request.answer('{"listzonesresponse": {"count"')


def reset(request: Request) -> None:
    """Tear down the connection without an answer."""
    request.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.handler.close_connection = True
    request.handler.connection.close()


def hang(request: Request) -> None:
    """Give no answer until the test is over."""
    request.released.wait(30)


def raw(data: bytes) -> Behaviour:
    """Answer with these bytes, status line and all, then the end."""

    def behave(request: Request) -> None:
        request.handler.close_connection = True
        request.handler.connection.sendall(data)

    return behave


def drips(begin: bytes, each: bytes, end: bytes = b"") -> Behaviour:
    """Begin an answer, then go on a little every 20 ms; end it only when a patient client would have given up."""

    def behave(request: Request) -> None:
        request.handler.close_connection = True
        request.handler.connection.sendall(begin)
        for _ in range(500):
            if request.released.wait(0.02):
                return
            request.handler.connection.sendall(each)
        request.handler.connection.sendall(end)

    return behave


@contextmanager
def fake_cloud(*behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[Fake]:
    """Serve the behaviours in turn, the last one for ever."""
    turn = iter(behaviours)
    lock = threading.Lock()

    def behave(request: Request) -> None:
        with lock:
            fake.requests.append(request)
            behaviour = next(turn, behaviours[-1])
        behaviour(request)

    listener = socket.create_server(("127.0.0.1", 0))
    fake = Fake(f"http{'s' if tls else ''}://127.0.0.1:{listener.getsockname()[1]}/client/api")
    with serving(tls.wrap_socket(listener, server_side=True) if tls else listener, behave):
        yield fake


@contextmanager
def serving(listener: socket.socket, behave: Behaviour) -> Iterator[None]:
    """Answer every request at ``listener`` by ``behave``, each in a thread of its own."""
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode() or self.path.partition("?")[2]
            params = {name: values[0] for name, values in parse_qs(form).items()}
            behave(Request(self, params, form, released))

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(listener.getsockname(), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # resets are meant
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()
