"""Which host keys are believed."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from vrbench.remote.errors import HostKeyChanged
from vrbench.remote.host_keys import HostKeyPins

HERE = ("192.0.2.1", 22)
KIND = "ssh-ed25519"


def told(key: bytes) -> str:
    return f"{KIND} {base64.b64encode(key).decode()}"


@pytest.fixture
def pins(tmp_path: Path) -> HostKeyPins:
    made = HostKeyPins(tmp_path / "known_hosts")
    made.keep(*HERE, KIND, b"first")
    return made


def test_what_a_guest_calls_its_own_is_believed(pins: HostKeyPins) -> None:
    """Named over a connection that showed the pinned key; others are not, and a later process knows them too."""
    pins.trust(*HERE, [told(b"first"), told(b"second")])
    for known in (pins, HostKeyPins(pins.path)):
        known.check(*HERE, KIND, b"first")
        known.check(*HERE, KIND, b"second")
        with pytest.raises(HostKeyChanged, match="another host key than at first contact"):
            known.check(*HERE, KIND, b"third")
    assert pins.path.read_text().splitlines() == [f"192.0.2.1 {told(b'first')}", f"192.0.2.1 {told(b'second')}"]


def test_a_pin_can_be_made_anew_once(pins: HostKeyPins) -> None:
    """In a first boot; a key that comes back was of another machine, and a third one is too many."""
    other = ("192.0.2.2", 2201)
    pins.keep(*other, KIND, b"other")
    assert pins.forget(*HERE)
    assert pins.path.read_text() == f"[192.0.2.2]:2201 {told(b'other')}\n"
    pins.keep(*HERE, KIND, b"second")
    with pytest.raises(HostKeyChanged, match="two machines answer there"):
        pins.check(*HERE, KIND, b"first")
    assert not pins.forget(*HERE)
    pins.check(*HERE, KIND, b"second")


def test_what_an_earlier_run_pinned_stays(pins: HostKeyPins) -> None:
    """A kept environment has booted long ago: nothing speaks for another key there."""
    later = HostKeyPins(pins.path)
    assert not later.forget(*HERE)
    with pytest.raises(HostKeyChanged):
        later.check(*HERE, KIND, b"second")
