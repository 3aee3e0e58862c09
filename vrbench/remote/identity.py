"""Who logs in to guests, and which host keys they have shown."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from vrbench.remote.errors import HostKeyChanged, RemoteError
from vrbench.remote.keys import KeyRing

Address = tuple[str, int]  # a host and a port


class HostKeyPins:
    """The host keys seen at first contact, kept in a known_hosts file of mode 0600; safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._pins: dict[str, str] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                name, _, key = line.partition(" ")
                self._pins[name] = key

    def check(self, host: str, port: int, key_type: str, key: bytes) -> None:
        """Compare the key of ``host``:``port`` with its pin, if it has one. Raises HostKeyChanged."""
        name, shown = _pin(host, port, key_type, key)
        with self._lock:
            pinned = self._pins.get(name, shown)
        if pinned != shown:
            raise HostKeyChanged(
                f"{host} port {port} shows another host key than at first contact: {_fingerprint(shown)}, not "
                f"{_fingerprint(pinned)} as in {self.path}. Another machine answers there; if the guest was rebuilt on "
                "purpose, remove that line"
            )

    def keep(self, host: str, port: int, key_type: str, key: bytes) -> None:
        """Pin the key unless one is pinned already. Raises RemoteError when the file can't be written."""
        name, shown = _pin(host, port, key_type, key)
        with self._lock:
            if name not in self._pins:
                self._append(f"{name} {shown}\n")
                self._pins[name] = shown

    def _append(self, line: str) -> None:
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(line)
        except OSError as error:
            raise RemoteError(
                f"can't keep a guest's host key in {self.path}: {error.strerror}; is this machine's disk full, or the "
                "file not yours?"
            ) from error


def _pin(host: str, port: int, key_type: str, key: bytes) -> tuple[str, str]:
    """Return the name and the key as a known_hosts line has them."""
    name = host if port == 22 else f"[{host}]:{port}"
    return name, f"{key_type} {base64.b64encode(key).decode()}"


def _fingerprint(key: str) -> str:
    """Return the key's fingerprint as ``ssh-keygen -l`` shows it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@dataclass(slots=True)
class Identity:
    """Who logs in, with the private keys at and beside which file, and the host keys seen so far."""

    user: str
    key: Path
    pins: HostKeyPins
    ring: KeyRing = field(init=False)

    def __post_init__(self) -> None:
        self.ring = KeyRing(self.key)

    def at(self, address: Address) -> str:
        """Name the connection for people."""
        return f"{self.user}@{address[0]} port {address[1]}"
