"""Whether a machine lets probers open what they need: tried as they do, before anything is built."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from typing import Any
from unittest.mock import patch

import pytest

from vrbench.core.kinds import Direction
from vrbench.core.model import Stream
from vrbench.probes import opening
from vrbench.probes.config import ProbeError
from vrbench.probes.engine import CannotProbe, Prober
from vrbench.probes.trying import Opened, try_probers

BANNER = Stream("ssh-ingress/a/banner", Direction.INGRESS, "ssh-ingress", "banner", "127.0.0.1:9", 0.25)
LINE = {"send": False, "streams": [{"target": "127.0.0.1:9", "flow": "banner", "interval_ns": 250_000_000}]}


def tried(opener: Any, name: str = "banner", **more: Any) -> dict[str, Any]:
    with patch.dict(opening.OPENERS, {name: opener}):
        return opening._tried(name, {**LINE, **more}, 800_000_000)


def raising(error: Exception) -> Any:
    def opener(*_: Any) -> Any:
        raise error

    return opener


def test_a_connection_can_be_tried_by_anybody() -> None:
    """In a process of its own, as probers are; the first probe of the one that is named is sent."""
    assert try_probers({"banner": [BANNER], "auth": [BANNER]}, 0.8, frozenset({"auth"})) == {
        "banner": Opened("connect"),
        "auth": Opened("connect"),
    }


@pytest.mark.parametrize(
    ("error", "denied"),
    [
        (PermissionError(errno.EPERM, "Operation not permitted"), True),  # no right, or a filter of system calls
        (OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol"), False),  # such a filter, too
        (OSError(errno.ENOPROTOOPT, "Protocol not available"), False),  # a kernel of its own, as of some sandboxes
        (OSError(errno.EMFILE, "Too many open files"), False),
        (CannotProbe("no 40 consecutive TCP ports are free"), False),
    ],
)
def test_what_can_not_be_opened_says_why(error: Exception, denied: bool) -> None:
    """A right that lacks has another cure than all else."""
    assert tried(raising(error)) == {"reason": str(error), "denied": denied}


def test_a_right_that_lacks_is_known_behind_the_probers_own_words() -> None:
    """A prober words it for people; what it was stays known."""
    wording = CannotProbe("may not send ICMP")
    wording.__cause__ = PermissionError(errno.EPERM, "Operation not permitted")
    assert tried(raising(wording))["denied"] is True


def test_a_probe_that_does_not_leave_says_why() -> None:
    """A firewall of this machine refuses it at once."""
    with patch("socket.socket.connect_ex", return_value=errno.EPERM):
        found = opening._tried("banner", {**LINE, "send": True}, 800_000_000)
    assert found == {"method": "connect", "unsent": errno.EPERM}


def test_a_ping_that_does_not_leave_says_why() -> None:
    """Pings are made ahead and sent by the pacer: the same holds for them."""

    class Pings(Prober):
        method = "raw"

        def __init__(self, log: Any) -> None:
            self.log = log
            self.fire = raising(OSError(errno.EPERM, "Operation not permitted"))

        def made(self, stream: int, slot: int) -> Any:
            return b"", ("192.0.2.1", 0)

        def drain(self) -> None: ...

        def settled(self) -> bool:
            return True

    assert tried(lambda _config, _streams, log: Pings(log), "icmp", send=True) == {
        "method": "raw",
        "unsent": errno.EPERM,
    }


@pytest.mark.parametrize(
    ("became", "words"),
    [
        (OSError(errno.EACCES, "Permission denied"), "can't be started again: Permission denied"),
        (OSError(errno.EAGAIN, "Resource temporarily unavailable"), "Resource temporarily unavailable"),
        (subprocess.TimeoutExpired("python", 30), "no answer within 30 s"),
    ],
)
def test_a_process_that_can_not_try_it_says_so(became: Exception, words: str) -> None:
    """No prober could be started either."""
    with patch.object(subprocess, "run", side_effect=became), pytest.raises(ProbeError, match=words):
        try_probers({"banner": [BANNER]}, 0.8)


def test_a_process_that_died_is_told_by_its_last_words() -> None:
    """A filter of system calls may end it."""
    died = subprocess.CompletedProcess("python", -31, "", "")
    with patch.object(subprocess, "run", return_value=died), pytest.raises(ProbeError, match="-31: it died without"):
        try_probers({"banner": [BANNER]}, 0.8)


def test_no_key_goes_to_the_process() -> None:
    """It needs none."""
    done = subprocess.CompletedProcess("python", 0, json.dumps({"banner": {"method": "connect"}}), "")
    with (
        patch.dict(os.environ, {"CLOUDSTACK_SECRET": "5ecret"}),
        patch.object(subprocess, "run", return_value=done) as run,
    ):
        try_probers({"banner": [BANNER]}, 0.8)
    assert "5ecret" not in str(run.call_args)
