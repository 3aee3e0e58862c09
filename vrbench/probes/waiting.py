"""Waiting until guests let us in and have booted: what may change meanwhile, and what no waiting mends.

A first boot may take minutes. sshd comes late, cloud-init adds the run's key late, makes the host keys anew, restarts
sshd. All of that is waited for, and said after a while. A guest that runs something else than what it is asked is not.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from vrbench.core.model import Environment, Guest
from vrbench.core.plan.streams import short_name
from vrbench.core.text import visible
from vrbench.parallel import CancelToken
from vrbench.probes.agent_home import AgentHome
from vrbench.probes.config import Login, ProbeError
from vrbench.probes.readiness import Readiness, look
from vrbench.remote.connection import Remote
from vrbench.remote.errors import HostKeyChanged, NotCarriedOut, RemoteError
from vrbench.remote.host_keys import HostKeyPins
from vrbench.remote.identity import Identity

RETRY_S = 0.5
LOOK_STEP_S = 20.0
SAY_AFTER_S = 20.0  # how long nobody needs to be told why a guest is still waited for
# What cloud-init's forced command for root says, where a template has its own user (disable_root).
_OTHER_USER = re.compile(r"Please login as the user \"?([a-z_][a-z0-9_-]{0,31})\"? rather than")


@dataclass
class GuestLogins:
    """Who logs in to each guest, and what people should know of it."""

    environment: Environment
    user: str
    key: Path
    pins: HostKeyPins
    notes: list[str] = field(default_factory=list)
    _identities: dict[str, Identity] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def identity(self, guest: Guest) -> Identity:
        """Return who logs in to a guest."""
        with self._lock:
            return self._identities.setdefault(guest.name, Identity(self.user, self.key, self.pins))

    def connect(self, guest: Guest) -> Remote:
        """Open a new SSH connection through the router to a guest. Raises RemoteError."""
        return Remote.connect((guest.public_ip, guest.public_port), self.identity(guest))

    def take_other_user(self, guest: Guest, said: str) -> bool:
        """Log in as whom the guest names from now on; return whether it names one that was not tried before."""
        named = _OTHER_USER.search(said)
        if named is None or self.identity(guest).user != self.user or named[1] == self.user:
            return False
        with self._lock:
            self._identities[guest.name] = Identity(named[1], self.key, self.pins)
        self._note(f"the template lets {self.user} run nothing and names {named[1]}: logged in as {named[1]}")
        return True

    def pin_anew(self, guest: Guest) -> None:
        """Take the host key that a guest shows now for its own, while it boots and where nothing speaks against it."""
        if self.pins.forget(guest.public_ip, guest.public_port):
            self._note(
                f"{short_name(self.environment, guest.name)} showed another host key while it booted: pinned anew"
            )

    def trust(self, guest: Guest, host_keys: tuple[str, ...]) -> None:
        """Take what a guest itself calls its host keys for right, at each of its public ends."""
        ends = {(e.public_ip, e.port) for e in self.environment.endpoints if e.guest == guest.name}
        for host, port in sorted(ends | {(guest.public_ip, guest.public_port)}):
            self.pins.trust(host, port, host_keys)

    @property
    def probers(self) -> Login:
        """Who logs in for probes, and with which key: all guests are of one template."""
        found = self.identity(self.environment.guests[0])
        return Login(found.user, found.ring.files()[0], self.pins.path)

    def _note(self, words: str) -> None:
        with self._lock:
            if words not in self.notes:
                self.notes.append(words)


@dataclass
class GuestWait:
    """One wait for all guests, until a moment on the monotonic clock."""

    logins: GuestLogins
    home: Callable[[Guest], AgentHome]
    until: float
    say: Callable[[str], None]
    _begun: float = field(default_factory=time.monotonic)
    _said: dict[str, str] = field(default_factory=dict)

    def one(self, guest: Guest, stop: CancelToken) -> Readiness | str:
        """Try until the deadline; returns what the guest was found to be, or the last reason why it was not reached.

        Raises ProbeError at once where no waiting helps.
        """
        while True:
            rest_s = self.until - time.monotonic()
            over = rest_s <= LOOK_STEP_S
            try:
                with self.home(guest).connection() as remote:
                    stop.check()
                    # In steps: a guest that reboots while it is being waited for leaves the connection hanging.
                    ready = look(remote, min(rest_s, LOOK_STEP_S))
                if over or not ready.booting:
                    self.logins.trust(guest, ready.host_keys)
                    return _fit(guest, ready)
            except NotCarriedOut as error:
                if not self.logins.take_other_user(guest, error.said):
                    raise ProbeError(f"VM {guest.name}: {error}") from error
                self.home(guest).leave()
            except RemoteError as error:
                if isinstance(error, HostKeyChanged):
                    self.logins.pin_anew(guest)
                if time.monotonic() >= self.until:
                    return str(error)
                self._tell(guest, str(error))
            stop.sleep(RETRY_S)

    def _tell(self, guest: Guest, reason: str) -> None:
        """Say once why a guest is still waited for."""
        if time.monotonic() - self._begun > SAY_AFTER_S and self._said.get(guest.name) != reason:
            self._said[guest.name] = reason
            self.say(f"still waiting: {visible(reason)}")


def _fit(guest: Guest, ready: Readiness) -> Readiness:
    if ready.unfit:
        raise ProbeError(f"VM {guest.name} {ready.unfit}")
    return ready
