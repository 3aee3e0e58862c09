"""A log-in by SSH as every operator does it: OpenSSH's own client."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

OPTIONS = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes")


def log_in(address: str, key: Path, within_s: float = 20.0) -> str:
    """Return the hostname that the guest behind ``address`` gives. It is tried until the time is over."""
    options = [part for option in (*OPTIONS, "ConnectTimeout=2") for part in ("-o", option)]
    command = ["ssh", "-F", "none", "-i", str(key), *options, f"root@{address}", "hostname"]
    until = time.monotonic() + within_s
    while True:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
        if time.monotonic() > until:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
        time.sleep(0.1)
