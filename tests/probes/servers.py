"""What answers on a guest's port 22: a real sshd, or something that is not one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.probes.box import Box
from tests.probes.rig import wait_for

_SPEAKER = """
import socket, sys
server = socket.create_server(("0.0.0.0", 22), backlog=128)
while True:
    connection, _ = server.accept()
    connection.sendall(sys.argv[1].encode().decode("unicode_escape").encode())
    connection.close()
"""


def start_sshd(box: Box, node: str, home: Path, public_key: str = "", *settings: str) -> subprocess.Popen[bytes]:
    """Start an OpenSSH server of ``node`` with a host key of its own; ``public_key`` may log in as root.

    ``settings`` are lines of its configuration, which win over the usual ones.
    """
    key, config, keys = home / f"{node}_key", home / f"{node}_config", home / f"{node}_authorized"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    keys.write_text(public_key + "\n")
    lines = [*settings, f"HostKey {key}", f"AuthorizedKeysFile {keys}", "PasswordAuthentication no", "UsePAM no"]
    if not any(line.startswith("MaxStartups") for line in settings):  # of which the last one wins
        lines.append("MaxStartups 100:30:200")
    config.write_text("\n".join([*lines, "StrictModes no", "PidFile none", ""]))
    server = box.spawn(node, "/usr/sbin/sshd", "-D", "-f", str(config))
    wait_for(lambda: listening(box, node), "sshd listening")
    return server


def start_speaker(box: Box, node: str, words: str) -> subprocess.Popen[bytes]:
    """Something on port 22 that says ``words`` (escapes allowed) and hangs up."""
    server = box.spawn(node, sys.executable, "-c", _SPEAKER, words)
    wait_for(lambda: listening(box, node), "speaker listening")
    return server


def stop_server(box: Box, node: str, server: subprocess.Popen[bytes]) -> None:
    """End what listens in ``node`` and wait until nothing does."""
    box.kill(server)
    wait_for(lambda: not listening(box, node), "port closed")


def listening(box: Box, node: str) -> bool:
    return ":22 " in box.run(node, "ss", "-Hltn") + " "
