"""The /etc that all guests of a lab share: made once, from what this machine's has for everybody.

A guest must not live in this machine's own /etc. Every package installation and every ``useradd`` replaces files there
by others of the same name, and the kernel then drops whatever was mounted over the old ones, in every guest at once:
none of them would know its users any more. Here nothing is ever replaced, so a guest can mount its own files over it.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from vrbench.lab.system import syscalls

GUEST_ETC = Path("/run/vrlab/etc")
OWN_FILES = ("passwd", "group", "shadow", "nsswitch.conf", "hostname", "hosts", "resolv.conf")  # each guest has others
OWN_FOLDERS = ("ssh",)
# What the loader, name look-ups, certificates, logins, shells and interpreters read, on any distribution.
_SHARED = (
    *("ld.so.*", "ld-musl-*", "localtime", "timezone", "gai.conf", "host.conf", "protocols", "services", "iproute2"),
    *("ssl", "pki", "ca-certificates", "crypto-policies", "gss", "krb5.conf*", "login.defs", "shells", "environment"),
    *("pam.conf", "pam.d", "security", "profile", "profile.d", "bash.bashrc", "bashrc", "inputrc", "terminfo"),
    *("alternatives", "python3*", "busybox.conf", "mtab", "os-release", "*[-_]release", "*_version"),
)
_IS_SHARED = re.compile("|".join(map(fnmatch.translate, _SHARED))).match


def make_etc(etc: Path = GUEST_ETC, machine: Path = Path("/etc")) -> None:
    """Take what guests need of this machine's /etc, where everybody may read it, and make room for what is theirs."""
    before = os.umask(0o022)  # whatever the operator's is: a guest's users read what is in it
    try:
        _make_etc(etc, machine)
    finally:
        os.umask(before)


def _make_etc(etc: Path, machine: Path) -> None:
    etc.mkdir()
    with os.scandir(machine) as entries:
        for entry in entries:
            if _IS_SHARED(entry.name):
                _take(entry, etc / entry.name)
    for name in OWN_FILES:
        (etc / name).touch()
    for name in OWN_FOLDERS:
        (etc / name).mkdir()


def _take(entry: os.DirEntry[str], place: Path) -> None:
    """Copy a file or a link; mount a folder, which costs less, on one that nobody replaces."""
    with suppress(FileNotFoundError):  # it was replaced just now, or is gone: a guest does without
        if entry.is_symlink():
            place.symlink_to(os.readlink(entry.path))
        elif entry.is_dir() and entry.stat().st_mode & stat.S_IXOTH:
            place.mkdir()
            syscalls.mount(entry.path, str(place), flags=syscalls.MS_BIND | syscalls.MS_REC)
        elif entry.is_file() and entry.stat().st_mode & stat.S_IROTH:
            shutil.copyfile(entry.path, place)
