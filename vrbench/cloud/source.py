"""Whom the firewall lets in: this machine, as the way to an address shows it."""

from __future__ import annotations

import socket

from vrbench.cloud.errors import CloudError

AUTO = "auto"


def allowed_source(configured: str, towards: str) -> str:
    """The CIDR to open for: the configured one, or this machine's own address on its way to ``towards``, as a /32.

    Asks the routing table only; no packet leaves. Behind address translation the cloud sees another address: then it
    has to be configured.
    """
    if configured != AUTO:
        return configured
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((towards, 9))
        except OSError as error:
            raise CloudError(
                f"no route from here to {towards} ({error.strerror}): set environment.source_cidr"
            ) from None
        return f"{probe.getsockname()[0]}/32"
