"""What keeps TLS from being set up is named with its cure: by real handshakes, and by OpenSSL's own words."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.cloud.server import fake_cloud, raw
from vrbench.cloud import errors
from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.api.no_answer import HowAsked, why_not
from vrbench.cloud.credentials.credentials import Credentials

Change = Callable[[ssl.SSLContext], object]


def made(folder: Path, address: str = "127.0.0.1", begins: int = -2, ends: int = 2) -> Path:
    """Make a self-signed certificate, good between two days from now, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")]), datetime.datetime.now(datetime.UTC)
    first, last = (now + datetime.timedelta(days=days) for days in (begins, ends))
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, first, last)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    form, kind, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = folder / "server.pem"
    path.write_bytes(key.private_bytes(form, kind, plain) + certificate.public_bytes(form))
    return path


@contextmanager
def speaking_tls(certificate: Path, change: Change = lambda _: None) -> Iterator[str]:
    """Provide the address of a server that shakes hands, in threads, and answers nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    change(context)

    def serve() -> None:
        while True:
            line, _ = listener.accept()
            with line.dup() as kept:
                with contextlib.suppress(OSError):  # a handshake that fails is what it is asked for
                    context.wrap_socket(line, server_side=True).recv(1)
                line.close()
                _hear_out(kept)
            if over.is_set():
                return

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        at = listener.getsockname()
        yield f"https://127.0.0.1:{at[1]}/client/api"
        over.set()
        socket.create_connection(at).close()
        thread.join()


def _hear_out(line: socket.socket) -> None:
    """Let the other side read what was said last: to close on what it has sent would be a reset."""
    with contextlib.suppress(OSError):
        line.settimeout(20)
        line.shutdown(socket.SHUT_WR)
        while line.recv(4096):
            pass


def failure(endpoint: str, verify: bool | str = True) -> str:
    """Return what a call that changes something ends in."""
    with pytest.raises(errors.CloudUnreachable) as caught:
        Cloud(Credentials(endpoint, "key", "secret", verify), mutation_timeout_s=20).call("createTags")
    assert str(caught.value).isprintable()
    return str(caught.value)


def old(context: ssl.SSLContext) -> None:
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1


def wants_certificate(context: ssl.SSLContext) -> None:
    context.verify_mode = ssl.CERT_REQUIRED


def test_an_expired_certificate_is_told(tmp_path: Path) -> None:
    certificate = made(tmp_path, ends=-1)
    with speaking_tls(certificate) as endpoint:
        said = failure(endpoint, str(certificate))
    assert "its certificate has expired. Have it renewed." in said


def test_a_certificate_for_later_is_told(tmp_path: Path) -> None:
    """Most often it is this machine's clock."""
    certificate = made(tmp_path, begins=1)
    with speaking_tls(certificate) as endpoint:
        said = failure(endpoint, str(certificate))
    assert "its certificate is not valid yet. Set this machine's clock" in said


def test_another_name_is_told(tmp_path: Path) -> None:
    certificate = made(tmp_path, "192.0.2.1")
    with speaking_tls(certificate) as endpoint:
        said = failure(endpoint, str(certificate))
    assert "its certificate is for other names than 127.0.0.1" in said


def test_a_bundle_without_the_authority_is_named(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    certificate, other = made(tmp_path), made(tmp_path / "other")
    with speaking_tls(certificate) as endpoint:
        said = failure(endpoint, str(other))
    assert "its certificate is self-signed" in said
    assert f"Add it to {other}" in said


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_a_version_that_is_too_old_is_told(tmp_path: Path) -> None:
    certificate = made(tmp_path)
    with speaking_tls(certificate, old) as endpoint:
        said = failure(endpoint, str(certificate))
    assert "it speaks no version of TLS that this machine takes (1.2 or newer)" in said


def test_a_server_that_wants_a_certificate_says_which_setting_names_it(tmp_path: Path) -> None:
    certificate = made(tmp_path)
    with speaking_tls(certificate, wants_certificate) as endpoint:
        said = failure(endpoint, str(certificate))
    assert "it wants a certificate of its clients" in said
    assert "CLOUDSTACK_CERT_KEY" in said


def test_plain_http_on_a_port_of_tls_is_told() -> None:
    """By the alert that such a server sends."""
    with fake_cloud(raw(b"\x15\x03\x01\x00\x02\x02F")) as fake:
        said = failure(fake.endpoint)
    assert "it answers as a server of TLS does" in said
    assert "Write https:// instead of http://" in said


def test_a_front_that_wants_a_certificate_is_understood() -> None:
    """nginx says so on a page."""
    words = b"<center>No required SSL certificate was sent</center>"
    page = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(words) + words
    with fake_cloud(raw(page)) as fake:
        said = failure(fake.endpoint)
    assert "it wants a certificate of its clients" in said
    assert "CLOUDSTACK_CERT" in said


def test_a_connection_that_ends_at_once_may_be_tls(tmp_path: Path) -> None:
    """Some servers say nothing to who speaks no TLS."""
    with speaking_tls(made(tmp_path)) as endpoint:
        said = failure(endpoint.replace("https:", "http:"))
    assert "If TLS is spoken there, write https:// in the endpoint." in said


@pytest.mark.parametrize(
    "words",
    [
        b"The plain HTTP request was sent to HTTPS port",
        b"Reason: You're speaking plain HTTP to an SSL-enabled server port.",
        b"Client sent an HTTP request to an HTTPS server.",
    ],
)
def test_a_front_that_says_so_is_understood(words: bytes) -> None:
    """As nginx, Apache and servers written in Go do."""
    page = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(words) + words
    with fake_cloud(raw(page)) as fake:
        assert "Write https:// instead of http:// in the endpoint." in failure(fake.endpoint)


def test_tls_where_there_is_none_is_told() -> None:
    with fake_cloud(raw(b"")) as fake:
        said = failure(fake.endpoint.replace("http:", "https:"))
    assert "speaks no TLS, but plain HTTP perhaps. Write http:// instead of https://" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("certificate verify failed: unable to get local issuer certificate", "signed by a CA that is not known here"),
        ("certificate verify failed: self-signed certificate in certificate chain", "a CA that is not known here"),
        ("certificate verify failed: Hostname mismatch, certificate is not valid for 'h'", "for other names than h"),
        ("[SSL: DH_KEY_TOO_SMALL] dh key too small", "weaker than this machine takes"),
        ("certificate verify failed: EE certificate key too weak", "weaker than this machine takes"),
        ("[SSL: UNSAFE_LEGACY_RENEGOTIATION_DISABLED]", "weaker than this machine takes"),
        ("[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] sslv3 alert handshake failure", "have no cipher in common"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]", "wants a certificate of its clients"),
        ("[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol", "closed while TLS was being"),
        ("something that nobody has seen yet", "TLS failed: something that nobody has seen yet"),
    ],
)
def test_what_openssl_says_is_put_into_words(text: str, words: str) -> None:
    """Each with what to do about it."""
    reason, advice = why_not("SSLError", text, HowAsked("https://h/client/api"))
    assert words in reason
    assert advice.endswith(".")


def test_what_is_set_without_effect_is_told() -> None:
    """Other tools read it."""
    text = "certificate verify failed: unable to get local issuer certificate"
    _, advice = why_not("SSLError", text, HowAsked("https://h/", environ=frozenset({"SSL_CERT_FILE"})))
    assert "SSL_CERT_FILE and SSL_CERT_DIR are not read for this" in advice
    _, advice = why_not("SSLError", text, HowAsked("https://h/"))
    assert "SSL_CERT_FILE" not in advice
