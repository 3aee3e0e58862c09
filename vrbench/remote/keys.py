"""The run's own keys: one of each kind that guests are known to take, and in which order they are offered."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ecdsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as rsa

PrivateKey = Ed25519PrivateKey | RSAPrivateKey | EllipticCurvePrivateKey
RSA_BITS = 2048  # the least that any policy in use asks for; the key lives for one run
AUTO = "auto"
# In the order in which they are offered, where nothing says otherwise.
KINDS: Mapping[str, Callable[[], PrivateKey]] = MappingProxyType(
    {
        "ed25519": Ed25519PrivateKey.generate,
        "rsa": lambda: rsa(65537, RSA_BITS),
        "ecdsa": lambda: ecdsa(SECP256R1()),
    }
)


def generate_key(path: Path, kind: str = "ed25519") -> str:
    """Make a key pair: write the private key to ``path`` (0600, new), return the public key's line."""
    key = KINDS[kind]()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(private)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{public.decode()} vrbench"


def generate_keys(first: Path, kinds: Sequence[str]) -> tuple[str, ...]:
    """Make a key pair of each kind, the first one at ``first`` and the others beside it; return the public lines."""
    paths = [first, *(_beside(first, kind) for kind in kinds[1:])]
    return tuple(generate_key(path, kind) for path, kind in zip(paths, kinds, strict=True))


def key_files(first: Path) -> list[Path]:
    """Return where the private keys of a run are, the first one first."""
    return [first, *(path for kind in KINDS if (path := _beside(first, kind)).exists())]


def kinds_for(wanted: str, server_takes_all: bool) -> tuple[str, ...]:
    """Return the kinds to make for a profile's ``cloud.ssh_key``; the first is the one that the cloud is given."""
    if wanted != AUTO:
        return (wanted,)
    return tuple(KINDS) if server_takes_all else ("rsa", *(kind for kind in KINDS if kind != "rsa"))


def kind_of(public: str) -> str:
    """Name the kind of a public key's line, as ``KINDS`` does."""
    word = public.partition(" ")[0]
    return next((kind for kind in KINDS if kind in word), word)


def _beside(first: Path, kind: str) -> Path:
    return first.with_name(f"{first.name}-{kind}")


class KeyRing:
    """The private keys of a run, the one that a guest took last before the others; threads may share it."""

    def __init__(self, first: Path) -> None:
        self._files = key_files(first)
        self._taken = False
        self._lock = threading.Lock()

    def files(self) -> list[Path]:
        """Return them in the order in which to offer them."""
        with self._lock:
            return list(self._files)

    def took(self, file: Path) -> None:
        """Note that a guest took this one: it goes first from now on."""
        with self._lock:
            self._taken = True
            self._files.sort(key=lambda other: other != file)

    def put_back(self, files: Sequence[Path]) -> None:
        """Note that these were refused by an sshd that hung up before the others could be tried: they go last.

        Once a key has been taken, a connection that ends in between says nothing of keys.
        """
        with self._lock:
            if not self._taken:
                self._files.sort(key=lambda other: other in files)
