"""Guests as templates make them: each is probed, or named with what to do about it.

All of them stand in one network, and are waited for side by side.
"""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.lab.box import in_box, vm
from tests.probes.rig import stream, wait_for
from vrbench.cloud.build.guest_setup import user_data
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.samples import read_samples
from vrbench.core.model import Environment, Guest, Outcome
from vrbench.lab.packets.guest_presets import PRESETS
from vrbench.lab.packets.namespace_ground import NamespaceGround
from vrbench.lab.system.namespaces import inside
from vrbench.parallel import CancelToken
from vrbench.probes.agent_home import AgentHome
from vrbench.probes.config import ProbeError
from vrbench.probes.guest import GuestAgent
from vrbench.probes.readiness import Readiness
from vrbench.probes.waiting import GuestLogins, GuestWait
from vrbench.remote.connection import Remote
from vrbench.remote.errors import RemoteError
from vrbench.remote.host_keys import HostKeyPins
from vrbench.remote.keys import KINDS, generate_keys

pytest.importorskip("yaml")
pytestmark = pytest.mark.lab
WAIT_S = 60.0  # for what comes at last
HOPELESS_S = 3.0  # for what never comes
# What never lets anybody in, and is waited for nonetheless: an early boot looks like that as well.
HOPELESS = ("sha1-only", "passwords-only", "two-factors", "hardened")

WORKS = {
    *(
        "",
        "rsa-only",
        "rsa-256-only",
        "ecdsa-only",
        "one-try",
        "other-user",
        "cloud-image",
        "greeting",
        "banner",
        "one-startup",
    ),
    *("late-key", "new-host-key", "cut-off", "no-python", "noexec", "full-tmp", "read-only"),
}
REFUSED = {
    "sha1-only": "offered an ed25519, an rsa and an ecdsa key",
    "passwords-only": "this sshd takes no keys, only password",
    "two-factors": "the key is not enough, also wanted: password",
    "hardened": "no way to encrypt in common",
    "no-pings": "may not send ICMP (sudo says: ",
    "no-shell": "does not run what it is asked (exit code 1); it said 'This account is currently not available.'",
    "forced-command": "does not run what it is asked (exit code 0); it said 'restricted'",
    "one-session": "allows only MaxSessions 1",
    "bare": "has no Python 3.6 or later, and no ping",
    "full-disk": "make room there",
}
NOTED = {
    "other-user": "the template lets root run nothing and names debian: logged in as debian",
    "cloud-image": "the template lets root run nothing and names debian: logged in as debian",
    "no-pings": "the template lets root run nothing and names debian: logged in as debian",
    "cut-off": "vm-N-net showed another host key while it booted: pinned anew",
}


@dataclass
class Met:
    """What came of a guest: the reason why it can't be probed (empty: it was), what was noted, what is doubted."""

    reason: str = ""
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    replies: int = 0


def met(guest: Guest, home: Path, wait_s: float) -> Met:
    """Wait for a guest, and have it probe itself for a moment; nothing of it stays."""
    environment = Environment("n", "vrb-1-net", "z", "h", "v", "o", guest.ip, (guest,), ())
    logins = GuestLogins(environment, "root", home / "key", HostKeyPins(home / f"{guest.name}-pins"))

    def connect() -> Remote:
        try:
            sock = inside(guest.name, lambda: socket.create_connection((guest.ip, 22), 5))
        except OSError as error:
            raise RemoteError(str(error)) from error
        return Remote.over(sock, (guest.ip, 22), logins.identity(guest), 10)

    place = AgentHome(guest, connect)
    waiting = GuestWait(logins, lambda _: place, time.monotonic() + wait_s, lambda _: None)
    found = Met()
    try:
        ready = waiting.one(guest, CancelToken())
        if isinstance(ready, Readiness):
            found.doubts = tuple(doubt.detail for doubt in ready.doubts)
            place.settle_in()
            found.replies = probed(GuestAgent(place, home / f"{guest.name}.raw"), guest.ip)
            place.remove()
        else:
            found.reason = ready
    except ProbeError as error:
        found.reason = str(error)
    finally:
        place.leave()
    found.notes = tuple(logins.notes)
    return found


def probed(agent: GuestAgent, target: str) -> int:
    """Return how many pings of a guest are answered until a few are."""
    agent.start((stream(target, "persistent", 0.02),), 60)
    agent.follow()
    wait_for(lambda: replies(agent.local_log) > 3, "answers", WAIT_S)
    agent.finish()
    agent.clear()
    return replies(agent.local_log)


def replies(log: Path) -> int:
    if not log.exists() or not log.stat().st_size:
        return 0
    (probe,) = read_samples(LogFile.read(log.read_bytes(), 0), 0.8).streams
    return sum(sample.outcome is Outcome.REPLIED for sample in probe.samples)


@pytest.fixture(scope="module")
def everyone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Met]:
    home = tmp_path_factory.mktemp("guests")
    public = generate_keys(home / "key", tuple(KINDS))

    def scene(zone: NamespaceGround) -> dict[str, Met]:
        zone.add_network("net")
        told = user_data(public).encode()
        made = {like: vm(number, "", "net", told, like) for number, like in enumerate(PRESETS, 1)}
        orders = {like: replace(spec, authorized_keys=public) for like, spec in made.items()}

        def play(like: str) -> Met:
            zone.add_vm(orders[like])
            spec = orders[like]
            guest = Guest(spec.name, like, spec.ip, spec.ip, 22)
            return met(guest, home, HOPELESS_S if like in HOPELESS else WAIT_S)

        with ThreadPoolExecutor(6) as pool:
            return dict(zip(orders, pool.map(play, orders), strict=True))

    return in_box(scene)


def test_every_preset_has_its_words() -> None:
    """A new one is either probed or named."""
    assert set(PRESETS) == WORKS | set(REFUSED)


@pytest.mark.parametrize("like", PRESETS)
def test_a_guest_is_probed_or_named(everyone: dict[str, Met], like: str) -> None:
    """Nothing is said of the one, and the other says what to do."""
    seen = everyone[like]
    wanted = REFUSED.get(like, "")
    assert wanted in seen.reason
    assert bool(seen.reason) is bool(wanted), seen.reason
    assert bool(seen.replies) is not bool(wanted)
    note = NOTED.get(like, "").replace("-N-", f"-{list(PRESETS).index(like) + 1}-")
    assert seen.notes == tuple(filter(None, [note]))
    assert seen.doubts == ()
