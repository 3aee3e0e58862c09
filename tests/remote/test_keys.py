"""The run's keys: which are made, and in which order they are offered."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from vrbench.remote.keys import KINDS, KeyRing, generate_keys
from vrbench.remote.refusals import RefusedLogin


def test_openssh_reads_each_key_and_nobody_else_does(tmp_path: Path) -> None:
    """Mode 0600, and ssh-keygen derives the same public key."""
    for kind, public in zip(KINDS, generate_keys(tmp_path / "key", tuple(KINDS)), strict=True):
        path = tmp_path / ("key" if kind == "ed25519" else f"key-{kind}")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        derived = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=True)
        assert derived.stdout.split()[:2] == public.split()[:2]


def test_the_key_that_was_taken_goes_first(tmp_path: Path) -> None:
    """Before that, those after which sshd hung up go last; after it, a lost connection says nothing of keys."""
    generate_keys(tmp_path / "key", tuple(KINDS))
    ring = KeyRing(tmp_path / "key")
    first, rsa, ecdsa = ring.files()
    ring.put_back([first])
    assert ring.files() == [rsa, ecdsa, first]
    ring.took(ecdsa)
    ring.put_back([ecdsa])
    assert ring.files() == [ecdsa, rsa, first]


def test_a_run_of_earlier_code_has_one_key(tmp_path: Path) -> None:
    """Its environment can be used again."""
    generate_keys(tmp_path / "key", ("ed25519",))
    assert KeyRing(tmp_path / "key").files() == [tmp_path / "key"]


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (RefusedLogin(("ed25519",)), "offered an ed25519 key: does this user have the run's key in authorized_keys"),
        (RefusedLogin(("ed25519", "rsa", "rsa")), "offered an ed25519 and an rsa key:"),
        (RefusedLogin(algorithms=("ssh-rsa",)), "takes none of the run's keys; it takes ssh-rsa. Choose a template"),
        (RefusedLogin(("ed25519", "rsa"), hung_up=True), "hung up after an ed25519 and an rsa key (MaxAuthTries)"),
        (RefusedLogin(methods=("password", "hostbased")), "takes no keys, only password, hostbased. Set PubkeyAuth"),
        (
            RefusedLogin(missing=("password",)),
            "the key is not enough, also wanted: password. Set AuthenticationMethods",
        ),
        (RefusedLogin(("rsa",), banner="Keep\x1b out\n"), r"(PubkeyAcceptedAlgorithms)? It says: 'Keep\x1b out'"),
    ],
)
def test_a_refusal_says_what_was_offered_and_what_to_do(seen: RefusedLogin, words: str) -> None:
    """As far as sshd tells."""
    assert words in seen.words
    assert seen.words.startswith("login refused")
