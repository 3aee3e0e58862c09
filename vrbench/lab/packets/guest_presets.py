"""Guests as templates make them, each a row: what its sshd, its first user and its disk are like.

``vrbench lab fault guests-are like=NAME`` has the VMs that are deployed from then on be like a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_NO_PYTHON = """
for p in $(ls -d /usr/bin/python* /usr/local/bin/python* /usr/libexec/platform-python 2>/dev/null) {interpreter}; do
  case $p in *config*) ;; *) mount --bind /bin/false "$p" 2>/dev/null;; esac
done
"""
_NO_PING = """
for p in $(command -v ping) $(command -v busybox); do mount --bind /bin/false "$p"; done
"""
_GREETS = "printf 'Welcome to vm\\n* 3 updates can be installed'\n"
_FULL = "mount -t tmpfs -o size=4k tmpfs {place}; dd if=/dev/zero of={place}/full bs=4096 count=1 2>/dev/null; "
_LATE_KEY = """
mv /run/home/.ssh/authorized_keys /run/home/.ssh/kept
(sleep 3; mv /run/home/.ssh/kept /run/home/.ssh/authorized_keys) &
"""
# cloud-init that goes on until somebody has connected, and then makes host keys of its own.
_NEW_HOST_KEY = """
mkdir /run/cloud-init
mount -t tmpfs -o mode=755 tmpfs /usr/local/sbin
printf '#!/bin/sh\\nwhile [ ! -e /run/cloud-init/done ]; do sleep 0.1; done\\n' >/usr/local/sbin/cloud-init
chmod 755 /usr/local/sbin/cloud-init
(
  until grep -q ":0016 [0-9A-F:]* 01 " /proc/net/tcp && pgrep -f '[c]loud-init status' >/dev/null; do sleep 0.1; done
  rm /etc/ssh/ssh_host_*
  ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
  kill -HUP $(cat /run/sshd.pid)
  {then}
  touch /run/cloud-init/done
) &
"""


@dataclass(frozen=True, slots=True)
class GuestPreset:
    """One kind of guest.

    ``sshd``: lines that win over the usual ones. ``setup``: shell, run by root before anything starts, in a place where
    mounts can be made. ``user``: who logs in instead of root, whose own logins only name that user. ``shell`` is of all
    users. ``pings``: the groups that may send pings without a right to raw sockets.
    """

    help: str
    sshd: str = ""
    setup: str = ""
    user: str = ""
    shell: str = "/bin/sh"
    pings: str = ""


PRESETS: Mapping[str, GuestPreset] = MappingProxyType(
    {
        "": GuestPreset("the lab's own"),
        "rsa-only": GuestPreset("sshd takes RSA keys only", "PubkeyAcceptedAlgorithms rsa-sha2-512"),
        "rsa-256-only": GuestPreset("sshd takes RSA keys with SHA-256 only", "PubkeyAcceptedAlgorithms rsa-sha2-256"),
        "ecdsa-only": GuestPreset("sshd takes ECDSA keys only", "PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256"),
        "sha1-only": GuestPreset("sshd takes RSA keys with SHA-1 only", "PubkeyAcceptedAlgorithms ssh-rsa"),
        "one-try": GuestPreset(
            "sshd takes RSA keys only, and hangs up after the first key",
            "PubkeyAcceptedAlgorithms rsa-sha2-512\nMaxAuthTries 1",
        ),
        "passwords-only": GuestPreset(
            "sshd takes passwords only", "PubkeyAuthentication no\nPasswordAuthentication yes\nPermitRootLogin yes"
        ),
        "two-factors": GuestPreset(
            "sshd wants a password beside the key",
            "AuthenticationMethods publickey,password\nPasswordAuthentication yes\nPermitRootLogin yes",
        ),
        "hardened": GuestPreset("sshd encrypts in one way only", "Ciphers chacha20-poly1305@openssh.com"),
        "other-user": GuestPreset("root's logins only name another user", user="debian", pings="0 2147483647"),
        "cloud-image": GuestPreset(
            "the same, and sshd takes RSA keys only",
            "PubkeyAcceptedAlgorithms rsa-sha2-256,rsa-sha2-512",
            user="debian",
            pings="0 2147483647",
        ),
        "no-pings": GuestPreset("another user, who may not send pings", user="debian", pings="1 0"),
        "no-shell": GuestPreset("the user's shell lets nobody in", shell="/usr/sbin/nologin"),
        "forced-command": GuestPreset("sshd runs a command of its own", "ForceCommand echo restricted"),
        "greeting": GuestPreset(
            "the shell greets before each command", setup=f"cat >/run/home/.bashrc <<'E'\n{_GREETS}E", shell="/bin/bash"
        ),
        "banner": GuestPreset(
            "sshd shows a banner, and forwards nothing",
            "Banner /run/home/banner\nDisableForwarding yes\nPrintMotd yes",
            "echo 'All is watched' >/run/home/banner",
        ),
        "one-session": GuestPreset("sshd allows one session on a connection", "MaxSessions 1"),
        "one-startup": GuestPreset("sshd talks with one newcomer at a time", "MaxStartups 1"),
        "late-key": GuestPreset("cloud-init adds the key late", setup=_LATE_KEY),
        "new-host-key": GuestPreset(
            "cloud-init makes the host key anew after the first login", setup=_NEW_HOST_KEY.format(then="")
        ),
        "cut-off": GuestPreset(
            "the same, and it breaks all connections", setup=_NEW_HOST_KEY.format(then="pkill -f '[s]shd: root@'")
        ),
        "no-python": GuestPreset("there is no Python", setup=_NO_PYTHON),
        "bare": GuestPreset("there is neither Python nor a ping", setup=_NO_PYTHON + _NO_PING),
        "noexec": GuestPreset("/tmp runs no programs", setup="mount -o remount,noexec /tmp"),
        "full-tmp": GuestPreset("/tmp is full", setup=_FULL.format(place="/tmp")),
        "full-disk": GuestPreset(
            "there is no room anywhere",
            setup="".join(_FULL.format(place=p) for p in ("/tmp", "/var/tmp", "/dev/shm"))
            + "mount -o remount,ro,bind /run/home",
        ),
        "read-only": GuestPreset(
            "its disk is mounted read-only",
            setup="for p in /tmp /var/tmp /run/home; do mount -o remount,ro,bind $p; done",
        ),
    }
)
