"""Every setting that acts does so on the wire: certificates, headers, the method, timeouts, repeats, expiry."""

from __future__ import annotations

import hashlib
import shutil
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.cloud.server import KEY, SECRET, Fake, Request, echo, fake_cloud, hang, reset, says
from tests.field.fronts import certificates
from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.credentials.credentials import Credentials, Manner, load_credentials
from vrbench.cloud.errors import CloudUnreachable, ConfigurationError

ZONES = says("listZones", {"count": 1, "zone": [{"id": "z"}]})


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an authority of our own, and a certificate each of a server and of a client."""
    folder = tmp_path_factory.mktemp("certs")
    certificates(folder)
    return folder


@pytest.fixture
def asks(tmp_path: Path) -> Callable[..., Credentials]:
    """Return what makes credentials of a file with these settings."""

    def made(fake: Fake, **settings: object) -> Credentials:
        lines = {"endpoint": fake.endpoint, "key": KEY, "secret": SECRET, **settings}
        file = tmp_path / "cloudstack.ini"
        text = "[cloudstack]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())
        file.write_text(text, encoding="utf-8")
        return load_credentials(None, {}, [file])

    return made


def tls(certs: Path, client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs / "server.pem", certs / "server.key")
    if client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certs / "ca.pem")
    return context


def zones(credentials: Credentials) -> object:
    return Cloud(credentials).call("listZones")["zone"]


def test_an_authority_of_ones_own(certs: Path, tmp_path: Path, asks: Callable[..., Credentials]) -> None:
    """As a file, and as a folder in which each certificate has its hash for a name; without, nobody is trusted."""
    subject = x509.load_pem_x509_certificate((certs / "ca.pem").read_bytes()).subject.public_bytes()
    hashed = int.from_bytes(hashlib.sha1(subject[2:], usedforsecurity=False).digest()[:4], "little")
    (folder := tmp_path / "trusted").mkdir()
    shutil.copy(certs / "ca.pem", folder / f"{hashed:08x}.0")
    with fake_cloud(ZONES, tls=tls(certs)) as fake:
        assert zones(asks(fake, verify=certs / "ca.pem")) == zones(asks(fake, verify=folder)) == [{"id": "z"}]
        assert zones(asks(fake, dangerous_no_tls_verify="true")) == zones(asks(fake, verify="false")) == [{"id": "z"}]
        with pytest.raises(CloudUnreachable, match="signed by a CA that is not known here"):
            zones(asks(fake))


@pytest.mark.parametrize("apart", [True, False])
def test_a_client_certificate(certs: Path, tmp_path: Path, asks: Callable[..., Credentials], apart: bool) -> None:
    """In two files or in one; who shows none is not let in."""
    both = tmp_path / "both.pem"
    both.write_bytes((certs / "client.pem").read_bytes() + (certs / "client.key").read_bytes())
    shown = {"cert": certs / "client.pem", "cert_key": certs / "client.key"} if apart else {"cert": both}
    with fake_cloud(ZONES, tls=tls(certs, client=True)) as fake:
        assert zones(asks(fake, verify=certs / "ca.pem", **shown)) == [{"id": "z"}]
        with pytest.raises(CloudUnreachable):
            zones(asks(fake, verify=certs / "ca.pem"))


def test_a_certificate_without_its_key_is_refused(
    certs: Path, tmp_path: Path, asks: Callable[..., Credentials]
) -> None:
    """Before anybody is asked; so is another's key, and one that is encrypted."""
    fake = Fake("http://127.0.0.1:9/client/api")
    with pytest.raises(ConfigurationError, match="no certificate and key that belong together"):
        asks(fake, cert=certs / "client.pem")
    with pytest.raises(ConfigurationError, match="no certificate and key that belong together"):
        asks(fake, cert=certs / "client.pem", cert_key=certs / "server.key")
    key = serialization.load_pem_private_key((certs / "client.key").read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"words")
    forms = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (tmp_path / "locked.key").write_bytes(key.private_bytes(*forms, locked))
    with pytest.raises(ConfigurationError, match="its key is encrypted"):
        asks(fake, cert=certs / "client.pem", cert_key=tmp_path / "locked.key")


def header_of(name: str) -> Callable[[Request], str | None]:
    return lambda request: request.handler.headers.get(name)


def test_headers_go_with_every_call(asks: Callable[..., Credentials]) -> None:
    """For a gateway before the API; and no word of theirs is shown when it repeats what it was sent."""
    with fake_cloud(ZONES, says("restartNetwork", {"jobid": "j"}), echo()) as fake:
        credentials = asks(fake, **{"header_X-Api-Gateway": "token-of-ours", "header_Accept-Language": "de"})
        cloud = Cloud(credentials)
        cloud.call("listZones")
        cloud.submit("restartNetwork")
        with pytest.raises(CloudUnreachable) as caught:
            cloud.call("listZones", name="token-of-ours")
    assert list(map(header_of("X-Api-Gateway"), fake.requests)) == ["token-of-ours"] * 3
    assert {header_of("Accept-Language")(request) for request in fake.requests} == {"de"}
    assert "token-of-ours" not in str(caught.value) + repr(credentials) + repr(cloud)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("header_Host", "x", "header_host from .* can't be sent"),
        ("header_a b", "x", "can't be sent"),
        (
            "header_x",
            "\u201ctoken\u201d",
            r"header_x from .* holds U\+201C left double quotation mark at line 5, column 12",
        ),
    ],
)
def test_headers_that_no_server_would_read(asks: Callable[..., Credentials], name: str, value: str, words: str) -> None:
    """Without the value: it may be a gateway's key."""
    with pytest.raises(ConfigurationError, match=words):
        asks(Fake("http://127.0.0.1:9/client/api"), **{name: value})


@pytest.mark.parametrize(("method", "seen"), [("get", "GET"), ("GET", "GET"), ("post", "POST"), ("", "POST")])
def test_the_method(asks: Callable[..., Credentials], method: str, seen: str) -> None:
    """Of calls that look and of calls that change something."""
    with fake_cloud(ZONES, says("restartNetwork", {"jobid": "j"})) as fake:
        cloud = Cloud(asks(fake, method=method))
        cloud.call("listZones")
        cloud.submit("restartNetwork", name="a b&c")
    assert [request.handler.command for request in fake.requests] == [seen, seen]
    assert fake.requests[1].params["name"] == "a b&c"


def test_the_timeout(asks: Callable[..., Credentials]) -> None:
    """It ends a look, and never shortens a call that changes something."""
    with fake_cloud(hang) as fake:
        credentials = asks(fake, timeout=7)
        assert credentials.manner.timeout_s == 7
        sooner = replace(credentials, manner=Manner(timeout_s=0.1))
        with pytest.raises(CloudUnreachable, match=r"within 0.1 s"):
            Cloud(sooner).call("listZones")
        with pytest.raises(CloudUnreachable, match=r"within 0.3 s"):
            Cloud(sooner, mutation_timeout_s=0.3).call("createNetwork")


@pytest.mark.parametrize(("broken", "sent"), [(0, 1), (2, 3)])
def test_what_looks_is_sent_again(asks: Callable[..., Credentials], broken: int, sent: int) -> None:
    """As often as the operator said, while the connection breaks."""
    with fake_cloud(*[reset] * broken, ZONES) as fake:
        assert zones(asks(fake, retry=2, retry_backoff="0.01")) == [{"id": "z"}]
    assert len(fake.requests) == sent


@pytest.mark.parametrize(
    ("retry", "command", "sent"), [(1, "listZones", 2), (0, "listZones", 1), (5, "createNetwork", 1)]
)
def test_what_changes_something_is_never_sent_again(
    asks: Callable[..., Credentials], retry: int, command: str, sent: int
) -> None:
    """And a look has an end."""
    with fake_cloud(reset) as fake, pytest.raises(CloudUnreachable):
        Cloud(asks(fake, retry=retry, retry_backoff="0.01")).call(command)
    assert len(fake.requests) == sent


def asked(credentials: Credentials, fake: Fake) -> dict[str, str]:
    Cloud(credentials).call("listZones")
    return fake.requests[-1].params


def test_how_long_a_signature_is_good_for(asks: Callable[..., Credentials]) -> None:
    """Ten minutes, or as the operator says; negative: for ever, which the server sees by what is not there."""
    with fake_cloud(ZONES) as fake:
        for setting, seconds in (({}, 600), ({"expiration": 120}, 120), ({"expiration": 0}, 0)):
            until = datetime.strptime(asked(asks(fake, **setting), fake)["expires"], "%Y-%m-%dT%H:%M:%S%z")
            assert abs((until - datetime.now(UTC)).total_seconds() - seconds) < 60
        assert {"expires", "signatureVersion"} & asked(asks(fake, expiration=-1), fake).keys() == set()


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("timeout", "soon", "timeout from .* is not a whole number from 1 to 86400"),
        ("timeout", "0", "is not a whole number"),
        ("timeout", "2.5", "is not a whole number"),
        ("timeout", "9" * 400, "is not a whole number"),
        ("retry", "-1", "is not a whole number from 0 to 1000"),
        ("retry_backoff", "nan", "is not a number"),
        ("expiration", "never", "is not a whole number"),
        ("method", "put", "neither get nor post"),
    ],
)
def test_what_makes_no_sense_is_refused(asks: Callable[..., Credentials], setting: str, value: str, words: str) -> None:
    """With the file it stands in."""
    with pytest.raises(ConfigurationError, match=words):
        asks(Fake("http://127.0.0.1:9/client/api"), **{setting: value})


def test_what_is_not_honoured_is_named(asks: Callable[..., Credentials]) -> None:
    """In one line, each with the reason."""
    ignored = {"trace": "true", "theme": "monokai", "poll_interval": 3, "job_timeout": 60}
    (note,) = asks(Fake("http://127.0.0.1:9/client/api"), **ignored).notes
    assert note.startswith("not honoured: job_timeout from ")
    assert all(f"{name} from " in note for name in ignored)
