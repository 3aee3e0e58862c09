"""Which kinds of SSH keys a server takes, by its release."""

from __future__ import annotations

import re

from vrbench.core.findings import Blame, Findings

EVERY_KEY_SINCE = (4, 14)  # before, RSA and DSS only
OF_ALL_TIMES = ("auto", "rsa")


def takes_every_key(version: str) -> bool:
    """Return whether a server takes Ed25519 and ECDSA keys; one whose number can't be read is taken for a new one."""
    numbers = re.match(r"([0-9]{1,4})\.([0-9]{1,4})(\.|$)", version)
    return not numbers or (int(numbers[1]), int(numbers[2])) >= EVERY_KEY_SINCE


def check_key(wanted: str, version: str, found: Findings) -> None:
    """Find out whether this server will take the kind of key that a profile asks for."""
    if wanted not in OF_ALL_TIMES and not takes_every_key(version):
        seen = f"CloudStack {version} takes no {wanted} key: up to 4.13 servers know RSA only"
        found.bad("key", seen, "set cloud.ssh_key to auto or rsa", Blame.OURS)
