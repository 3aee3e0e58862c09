"""Who logs in to guests."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vrbench.remote.host_keys import HostKeyPins
from vrbench.remote.keys import KeyRing

Address = tuple[str, int]  # a host and a port


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
