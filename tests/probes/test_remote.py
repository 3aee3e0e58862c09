"""SSH to a real sshd through the router."""

from __future__ import annotations

import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.probes.box import Box
from tests.probes.rig import ROUTER
from tests.probes.servers import start_sshd, stop_server
from vrbench.remote.connection import Remote
from vrbench.remote.errors import RemoteError
from vrbench.remote.host_keys import HostKeyPins
from vrbench.remote.identity import Identity
from vrbench.remote.keys import generate_key

pytestmark = pytest.mark.lab


@dataclass(frozen=True)
class Login:
    """All that a connection to guest0 needs."""

    box: Box
    home: Path
    key: Path
    public: str
    pins: HostKeyPins

    def connect(self, *, key: Path | None = None, port: int = 2200, timeout_s: float = 5.0) -> Remote:
        with self.box.inside("harness"):
            return Remote.connect((ROUTER, port), Identity("root", key or self.key, self.pins), timeout_s)


@pytest.fixture
def login(box: Box, tmp_path: Path) -> Iterator[Login]:
    public = generate_key(tmp_path / "id")
    server = start_sshd(box, "guest0", tmp_path, public)
    yield Login(box, tmp_path, tmp_path / "id", public, HostKeyPins(tmp_path / "known_hosts"))
    stop_server(box, "guest0", server)


def test_a_generated_key_is_private_and_openssh_reads_it(tmp_path: Path) -> None:
    """Mode 0600, never written over, and ssh-keygen derives the same public key from it."""
    public = generate_key(tmp_path / "id")
    assert stat.S_IMODE((tmp_path / "id").stat().st_mode) == 0o600
    derived = subprocess.run(["ssh-keygen", "-y", "-f", tmp_path / "id"], capture_output=True, text=True, check=True)
    assert derived.stdout.split()[:2] == public.split()[:2]
    with pytest.raises(FileExistsError):
        generate_key(tmp_path / "id")


def test_a_command_gives_its_code_and_both_outputs(login: Login) -> None:
    """run passes standard input and quotes a list for the shell."""
    with login.connect() as remote:
        done = remote.run("cat; echo oops >&2; exit 3", stdin=b"hello")
        quoted = remote.run(["printf", "%s", "a b'$HOME"])
    assert (done.code, done.out, done.err) == (3, b"hello", b"oops\n")
    assert quoted.out == b"a b'$HOME"


def test_a_stream_comes_in_pieces_and_may_not_fall_silent(login: Login) -> None:
    """Chunks arrive as they are written; silence beyond the deadline is an error."""
    with login.connect() as remote:
        waits = f"echo one; until test -e {login.home}/heard; do sleep 0.01; done; echo two"
        chunks = remote.stream(waits, idle_s=60.0)
        assert next(chunks) == b"one\n"
        (login.home / "heard").touch()
        assert next(chunks) == b"two\n"
        with pytest.raises(RemoteError, match="no answer in time"):
            next(remote.stream("sleep 60", idle_s=0.5))


def test_what_a_login_says_first_is_no_answer(login: Login) -> None:
    """Lines before the command's own first words are passed over; then each line has its answer."""
    with login.connect() as remote:
        talk = remote.talk("echo welcome; echo to this machine; echo talking; exec cat")
        talk.skip_to(b"talking", 60.0)
        assert [talk.ask(line, 60.0) for line in (b"one", b"two")] == [b"one", b"two"]
        with pytest.raises(RemoteError):
            remote.talk("echo welcome").skip_to(b"talking", 60.0)


def test_a_command_that_hangs_is_given_up(login: Login) -> None:
    """run ends at its timeout, and the connection serves the next command."""
    with login.connect() as remote:
        began = time.monotonic()
        with pytest.raises(RemoteError, match="no answer in time"):
            remote.run("sleep 60", timeout_s=0.5)
        assert time.monotonic() - began < 50
        assert remote.run("echo still").out == b"still\n"


def test_the_first_host_key_is_pinned(login: Login) -> None:
    """The pin file is private, OpenSSH finds the host in it, and a changed key names both fingerprints."""
    login.connect().close()
    pins = login.home / "known_hosts"
    assert stat.S_IMODE(pins.stat().st_mode) == 0o600
    found = ["ssh-keygen", "-F", f"[{ROUTER}]:2200", "-f", str(pins)]
    subprocess.run(found, check=True, stdout=subprocess.DEVNULL)
    type_and_key = pins.read_text().split()[1:]
    other = (login.home / "id.pub", generate_key(login.home / "other").split()[1])[1]
    pins.write_text(f"[{ROUTER}]:2200 {type_and_key[0]} {other}\n")
    changed = Login(login.box, login.home, login.key, login.public, HostKeyPins(pins))
    with pytest.raises(RemoteError, match=r"another host key.*SHA256:\S+, not SHA256:"):
        changed.connect()


def test_a_key_is_pinned_only_once_we_are_let_in(login: Login) -> None:
    """The key that sshd shows while it refuses us, early in a first boot, does not lock out the one made later."""
    generate_key(login.home / "stranger")
    with pytest.raises(RemoteError, match="login refused"):
        login.connect(key=login.home / "stranger")
    assert not (login.home / "known_hosts").exists()
    login.pins.check(ROUTER, 2200, "ssh-ed25519", b"the key made later")
    login.connect().close()
    with pytest.raises(RemoteError, match="another host key"):
        login.pins.check(ROUTER, 2200, "ssh-ed25519", b"the key made later")


def test_a_pin_that_can_not_be_written_is_named(login: Login) -> None:
    """A full disk here is not blamed on the guest, and the pin counts as never made."""
    pins = HostKeyPins(login.home / "full")
    (login.home / "full").symlink_to("/dev/full")
    unlucky = Login(login.box, login.home, login.key, login.public, pins)
    with pytest.raises(RemoteError, match=r"can't keep a guest's host key.*No space left"):
        unlucky.connect()
    pins.check(ROUTER, 2200, "ssh-ed25519", b"any key")


def test_each_way_to_fail_has_its_message(login: Login) -> None:
    """A foreign key, a closed port and a black hole are told apart."""
    generate_key(login.home / "stranger")
    with pytest.raises(RemoteError, match="login refused"):
        login.connect(key=login.home / "stranger")
    with pytest.raises(RemoteError, match="refused: are address, firewall rule"):
        login.connect(port=2201)
    with pytest.raises(RemoteError, match="can't use the private key"):
        login.connect(key=login.home / "none")
    login.box.run("router", "nft", "add rule ip gate cut drop")
    try:
        with pytest.raises(RemoteError, match="no answer in time"):
            login.connect(timeout_s=0.5)
    finally:
        login.box.run("router", "nft", "flush chain ip gate cut")
