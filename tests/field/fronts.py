"""Odd fronts of an API, as they stand before real clouds: TLS of an own authority, gateways, rate limits, old servers.

A front serves inside the lab's outside world and passes on what its rules let through. ``certificates`` makes a folder
with ``ca.pem``, ``server.pem`` and ``server.key`` (of 127.0.0.1 and ::1), ``client.pem`` and ``client.key``.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from time import time
from urllib.parse import parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from vrbench.lab import lifecycle

PASSED_ON = ("Content-Type",)
# Made inside the outside world of the lab, and served from here: a socket stays where it was made.
LISTEN = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
made = socket.create_server((sys.argv[2], 0), family=family)
socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b"x"], [made.fileno()])
"""


@dataclass(frozen=True)
class Asked:
    """A request on its way; ``met`` counts those of its command, this one too."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    params: Mapping[str, str]
    met: int

    @property
    def command(self) -> str:
        return self.params.get("command", "")


@dataclass(frozen=True)
class Said:
    """What a front answers."""

    status: int
    body: bytes = b""
    content_type: str = "text/html"
    headers: Mapping[str, str] = field(default_factory=dict)


Rule = Callable[[Asked], Said | None]  # None lets the request through


@dataclass(frozen=True)
class Front:
    """What stands before the API. ``at`` is its address in the outside world, ``skew_s`` how far off its clock is."""

    rules: tuple[Rule, ...] = ()
    tls: bool = False
    client_certificate: bool = False
    at: str = "127.0.0.1"
    skew_s: float = 0

    def endpoint(self, port: int) -> str:
        """Return what clients call it."""
        host = f"[{self.at}]" if ":" in self.at else self.at
        return f"http{'s' if self.tls or self.client_certificate else ''}://{host}:{port}/client/api"

    def context(self, certificates: Path) -> ssl.SSLContext | None:
        """Return how it speaks TLS; None where it does not."""
        if not (self.tls or self.client_certificate):
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        if self.client_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(certificates / "ca.pem")
        return context


def page(status: int, title: str) -> Said:
    """Return a page for people."""
    return Said(status, f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>".encode())


def wants_header(name: str) -> Rule:
    """Let nobody in without a header, as gateways do."""
    return lambda asked: None if name.lower() in map(str.lower, asked.headers) else page(403, "Forbidden")


def get_only(asked: Asked) -> Said | None:
    """Take no POST, as some caches and filters do."""
    return None if asked.method == "GET" else page(405, "Method Not Allowed")


def wants_login(_asked: Asked) -> Said | None:
    """Ask for a password of its own, as some proxies do."""
    told = page(401, "Authorization Required")
    return Said(told.status, told.body, headers={"WWW-Authenticate": 'Basic realm="cloud"'})


def redirects(to: str) -> Rule:
    """Send everybody elsewhere: it has moved, or speaks TLS only."""
    return lambda _asked: Said(301, headers={"Location": to})


def busy(command: str, status: int = 429, times: int = 1, **headers: str) -> Rule:
    """Refuse a command's first calls, as rate limits do; ``retry_after="1"`` is the header Retry-After."""
    told = {name.replace("_", "-").title(): value for name, value in headers.items()}
    body = json.dumps({f"{command.lower()}response": {"errorcode": status, "errortext": "api limit"}}).encode()

    def rule(asked: Asked) -> Said | None:
        refused = asked.command == command and asked.met <= times
        return Said(status, body, "application/json", told) if refused else None

    return rule


def takes_no_ed25519(asked: Asked) -> Said | None:
    """Take RSA and DSS keys only, as servers before 4.14 do."""
    if asked.command != "registerSSHKeyPair" or "ssh-ed25519" not in asked.params.get("publickey", ""):
        return None
    error = {"uuidList": [], "errorcode": 431, "cserrorcode": 4350, "errortext": "Public key is invalid"}
    return Said(431, json.dumps({"registersshkeypairresponse": error}).encode(), "application/json")


@contextmanager
def standing(front: Front, state: Path, target: str, certificates: Path) -> Iterator[str]:
    """Put a front before ``target``, inside the outside world of the lab in ``state``; yield its endpoint."""
    with _listener(state, front.at) as listener:
        server = _Server(listener, front, target, front.context(certificates))
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield front.endpoint(listener.getsockname()[1])
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@contextmanager
def _listener(state: Path, at: str) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-c", LISTEN, str(theirs.fileno()), at]
        subprocess.run(lifecycle.enter(state, "upstream", command), pass_fds=[theirs.fileno()], check=True)
        _, [fd], _, _ = socket.recv_fds(ours, 1, 1)
    with socket.socket(fileno=fd) as listener:
        yield listener


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, front: Front, target: str, context: ssl.SSLContext | None) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()  # the one that the base class made
        self.socket = listener
        self.front, self.target, self.context = front, urlsplit(target), context
        self._met = Counter[str]()
        self._lock = threading.Lock()

    def get_request(self) -> tuple[socket.socket, object]:
        """Accept a connection; its own thread shakes hands."""
        line, address = self.socket.accept()
        if self.context:
            line = self.context.wrap_socket(line, server_side=True, do_handshake_on_connect=False)
        return line, address

    def meet(self, command: str) -> int:
        with self._lock:
            self._met[command] += 1
            return self._met[command]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that go away, or that trust nobody: that is what they are sent here for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pairs = [*parse_qsl(urlsplit(self.path).query), *parse_qsl(body.decode())]
        params = dict(pairs)
        met = self.server.meet(params.get("command", ""))
        asked = Asked(self.command, self.path, dict(self.headers), body, params, met)
        self._say(next(filter(None, (rule(asked) for rule in self.server.front.rules)), None) or self._pass_on(asked))

    do_POST = do_GET

    def _pass_on(self, asked: Asked) -> Said:
        to = self.server.target
        connection = http.client.HTTPConnection(to.hostname or "", to.port or 80, timeout=60)
        query = urlsplit(asked.path).query
        headers = {name: value for name, value in asked.headers.items() if name in PASSED_ON}
        try:
            connection.request(asked.method, f"{to.path}?{query}" if query else to.path, asked.body, headers)
            got = connection.getresponse()
            return Said(got.status, got.read(), got.headers.get("Content-Type", ""))
        finally:
            connection.close()

    def _say(self, said: Said) -> None:
        self.send_response(said.status)
        self.send_header("Content-Type", said.content_type)
        self.send_header("Content-Length", str(len(said.body)))
        for name, value in said.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said.body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(time() + self.server.front.skew_s, usegmt=True)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def certificates(folder: Path) -> None:
    """Make an authority of our own, and a certificate each of the front and of a client."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("vrbench field authority")
    _write(folder, "ca", _certificate(name, key.public_key(), name, key, authority=True), key)
    for whose in ("server", "client"):
        own = ec.generate_private_key(ec.SECP256R1())
        _write(folder, whose, _certificate(_name(whose), own.public_key(), name, key, authority=False), own)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(authority, None), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(issued_by, critical=False)
    if not authority:
        addresses = [x509.IPAddress(ip_address(text)) for text in ("127.0.0.1", "::1")]
        builder = builder.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    plain = serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(text)
