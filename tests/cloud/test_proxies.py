"""Proxies: which acts, by which variable, and what is said of one that is at fault."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cloud.server import fake_cloud, says
from tests.cloud.test_clock import answering, pump, told
from vrbench.cloud import errors
from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.credentials.credentials import Credentials, find_credentials
from vrbench.cloud.credentials.proxies import acting_proxy

P, Q = "http://p.example.org:3128", "http://q.example.org:8080"
PASSWORD = "open%20sesame"  # of a proxy


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def acting(endpoint: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> tuple[str, str] | None:
    """Return the proxy for an endpoint, and the variable that names it."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    proxy = acting_proxy(endpoint)
    return (proxy.shown, proxy.variable) if proxy else None


HTTP, HTTPS = "http://cloud.example.org:8080/client/api", "https://cloud.example.org/client/api"


@pytest.mark.parametrize(
    ("endpoint", "environ", "which"),
    [
        (HTTP, {"http_proxy": P}, (P, "http_proxy")),
        (HTTP, {"HTTP_PROXY": P}, (P, "HTTP_PROXY")),
        (HTTP, {"HTTP_PROXY": P, "http_proxy": Q}, (Q, "http_proxy")),
        (HTTP, {"https_proxy": P}, None),
        (HTTPS, {"https_proxy": P, "http_proxy": Q}, (P, "https_proxy")),
        (HTTPS, {"HTTPS_PROXY": "p.example.org:3128"}, (P, "HTTPS_PROXY")),
        (HTTPS, {"http_proxy": P}, None),
        (HTTPS, {"all_proxy": P}, (P, "all_proxy")),
        (HTTPS, {"ALL_PROXY": P, "https_proxy": Q}, (Q, "https_proxy")),
        (HTTPS, {"https_proxy": ""}, None),
        (HTTPS, {"https_proxy": f"http://user:{PASSWORD}@p.example.org:3128/"}, (P, "https_proxy")),
        (HTTPS, {"https_proxy": "http://[2001:db8::1]:3128"}, ("http://[2001:db8::1]:3128", "https_proxy")),
        ("http://127.0.0.1:9/client/api", {"http_proxy": P}, (P, "http_proxy")),
        ("http://localhost:9/client/api", {"http_proxy": P}, (P, "http_proxy")),
    ],
)
def test_which_proxy_acts(
    endpoint: str, environ: dict[str, str], which: tuple[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As requests has it; an address of this machine follows the same rule as any. No password is shown."""
    assert acting(endpoint, environ, monkeypatch) == which


@pytest.mark.parametrize(
    ("host", "no_proxy", "direct"),
    [
        ("cloud.example.org", "cloud.example.org", True),
        ("cloud.example.org", "example.org", True),
        ("cloud.example.org", ".example.org", True),
        ("cloud.example.org", "other.org, example.org", True),
        ("cloud.example.org", "ample.org", False),
        ("cloud.example.org", "*", True),
        ("cloud.example.org", "other.org,*", True),
        ("cloud.example.org:8080", "cloud.example.org:8080", True),
        ("cloud.example.org:8080", "cloud.example.org:80", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:8080", "10.1.2.3:8080", True),
        ("10.1.2.3:8080", "10.1.2.3:80", False),
        ("10.1.2.3", "11.0.0.0/8", False),
        ("127.0.0.1:8080", "localhost,127.0.0.0/8", True),
        ("127.0.0.1:8080", "localhost", False),
        ("localhost:8080", "localhost", True),
        ("[::1]:8080", "::1", True),
        ("[2001:db8::5]", "2001:db8::/32", True),
        ("[2001:db8::5]:8080", "[2001:db8::5]:8080", True),
        ("[2001:db8::5]", "2001:dead::/32", False),
        ("cloud.example.org", "10.0.0.0/8,/,:,[", False),
    ],
)
@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_whom_no_proxy_excepts(
    host: str, no_proxy: str, direct: bool, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, suffixes, networks of both kinds, ports and a star."""
    environ = {"http_proxy": P, variable: no_proxy}
    assert (acting(f"http://{host}/client/api", environ, monkeypatch) is None) is direct


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://p.example.org", "is of a kind that is not known here (ftp://)"),
        ("http://p.example.org:port", "has no valid host and port"),
        ("http://user:secretword@:3128", "has no valid host and port"),
        ("http://p.example.org:3128\r", "a character that can't be seen"),
        ("http://[::1", "has no valid host and port"),
    ],
)
def test_a_proxy_that_is_none_is_bad_usage(url: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is asked, by the variable's name; no password is shown."""
    monkeypatch.setenv("https_proxy", url)
    with pytest.raises(errors.ConfigurationError) as caught:
        acting_proxy(HTTPS)
    assert str(caught.value).startswith("the proxy from $https_proxy")
    assert words in str(caught.value)
    assert "secretword" not in str(caught.value)


def test_socks_without_its_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vrbench.cloud.credentials.proxies.importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("all_proxy", "socks5h://127.0.0.1:1080")
    with pytest.raises(errors.ConfigurationError, match=r"needs a library that is not there \(pip install PySocks\)"):
        acting_proxy(HTTPS)


def test_the_proxy_is_part_of_the_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For every command alike; and the one in a lab of its own, whose credentials are loaded apart, has none."""
    monkeypatch.setenv("https_proxy", P)
    monkeypatch.setenv("HOME", str(tmp_path))
    environ = {"CLOUDSTACK_ENDPOINT": HTTPS, "CLOUDSTACK_KEY": "k", "CLOUDSTACK_SECRET": "s"}
    assert str(find_credentials("", environ).proxy) == f"the proxy {P} (from $https_proxy)"


Act = Callable[[socket.socket], None]


@contextmanager
def proxy(act: Act) -> Iterator[str]:
    """Provide the address of a proxy that does this with whoever comes, after the first of what they say."""
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            client, _ = listener.accept()
            with client:
                if client.recv(65536):
                    act(client)
                    part(client)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        at = listener.getsockname()
        yield f"http://user:{PASSWORD}@127.0.0.1:{at[1]}"
        over.set()
        socket.create_connection(at).close()
        thread.join()


def part(client: socket.socket) -> None:
    """End in order, whatever else is said: what is left unread would make it a reset, and may lose the answer."""
    with contextlib.suppress(OSError):  # it has ended by itself
        client.shutdown(socket.SHUT_WR)
        client.settimeout(20)
        while client.recv(65536):
            pass


def answers(status: str, body: str = "<html>a proxy</html>") -> Act:
    text = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return lambda client: client.sendall((text + body).encode())


def closes(client: socket.socket) -> None:
    """End without a word."""


def asked_by(endpoint: str, url: str, monkeypatch: pytest.MonkeyPatch, timeout_s: float = 20.0) -> errors.CloudError:
    """Return what a call that changes something ends in, by this proxy."""
    monkeypatch.setenv("all_proxy", url)
    credentials = replace(Credentials(endpoint, "key", "secret"), proxy=acting_proxy(endpoint))
    with pytest.raises(errors.CloudError) as caught:
        Cloud(credentials, mutation_timeout_s=timeout_s, patience_s=0).call("createTags")
    said = str(caught.value)
    assert "from $all_proxy" in said
    assert "sesame" not in said
    assert said.isprintable()
    return caught.value


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (answers("407 Proxy Authentication Required"), "refuses the user and password that $all_proxy has (407)"),
        (answers("403 Forbidden"), "does not connect to cloud.example.org: it answers 403 Forbidden"),
        (answers("502 Bad Gateway"), "does not connect to cloud.example.org: it answers 502 Bad Gateway"),
        (answers("503 Service Unavailable"), "does not connect to cloud.example.org: it answers 503"),
        (closes, "is at fault: the connection was closed without an answer"),
        (lambda client: client.sendall(b"<html>\r\n\r\n"), "is at fault"),
    ],
    ids=["407", "403", "502", "503", "closes", "nonsense"],
)
def test_a_proxy_that_makes_no_tunnel_is_named(act: Act, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its variable, and without its password; nothing was sent, so nothing can have come of it."""
    with proxy(act) as url:
        error = asked_by(HTTPS, url, monkeypatch)
    assert words in str(error)
    assert isinstance(error, errors.CloudUnreachable)
    assert not error.may_have_run


def test_a_proxy_that_hangs_ends_with_the_calls_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is told from a server that does."""
    over = threading.Event()

    def hangs(_: socket.socket) -> None:
        over.wait(30)

    with proxy(hangs) as url:
        error = asked_by(HTTPS, url, monkeypatch, timeout_s=0.3)
        over.set()
    assert "is at fault: it took too long" in str(error)
    assert isinstance(error, errors.CloudUnreachable)
    assert not error.may_have_run


@pytest.mark.parametrize("endpoint", [HTTP, HTTPS])
def test_a_dead_proxy_is_named(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the endpoint, which nobody has asked."""
    error = asked_by(endpoint, "http://127.0.0.1:9", monkeypatch)
    assert "the proxy http://127.0.0.1:9 (from $all_proxy) is at fault: the connection was refused" in str(error)
    assert "name cloud.example.org in $no_proxy" in str(error)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (answers("407 Proxy Authentication Required"), "refuses the user and password that $all_proxy has (407)"),
        (answers("403 Forbidden"), "HTTP 403, 'text/html', '<html>a proxy</html>'); this came by way of the proxy"),
        (answers("502 Bad Gateway"), "which may have said it itself"),
        (answers("200 OK"), "which may have said it itself"),
        (closes, "the connection was closed without an answer (by way of the proxy"),
    ],
    ids=["407", "403", "502", "200", "closes"],
)
def test_what_comes_by_a_proxy_is_told_so(act: Act, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TLS nobody can tell the proxy's own words from the server's."""
    with proxy(act) as url:
        error = asked_by(HTTP, url, monkeypatch)
    assert words in str(error)
    assert isinstance(error, errors.CloudUnreachable)
    assert error.may_have_run is ("(407)" not in words)


def test_a_tunnel_changes_nothing(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tunnel's own answer is read by the same limits as the server's; the clock is the server's."""

    def tunnel(client: socket.socket) -> None:
        with socket.create_connection(at) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(server, client))
            back.start()
            pump(client, server)
            back.join()

    with answering(200, lambda: told(-3600), certificate) as endpoint, proxy(tunnel) as url:
        at = ("127.0.0.1", int(endpoint.rpartition(":")[2].partition("/")[0]))
        monkeypatch.setenv("https_proxy", url)
        credentials = Credentials(endpoint, "key", "secret", str(certificate), proxy=acting_proxy(endpoint))
        cloud = Cloud(credentials)
        assert cloud.call("listZones") == {}
        cloud._channel._here.ready[1].close()
    assert cloud.clock is not None
    assert abs(cloud.clock.offset_s - 3600) <= cloud.clock.error_s


def test_a_plain_proxy_is_asked_for_the_whole_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """For an endpoint of this machine, too."""
    with fake_cloud(says("listZones", {})) as fake:
        monkeypatch.setenv("http_proxy", fake.endpoint.removesuffix("/client/api"))
        credentials = Credentials(HTTP, "key", "secret", proxy=acting_proxy(HTTP))
        assert Cloud(credentials).call("listZones") == {}
        assert fake.requests[0].handler.path == HTTP
