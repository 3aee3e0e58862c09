"""What is nobody else's business: folders that no other user can reach into, and what children are told.

Whoever may change the program itself is trusted: its owner, and who may write in a folder above it, as in a container
that mounts a checkout of its user's. They need no link to have root do what they like.

vrbench often runs as root, and is given places such as /tmp/zone. Whoever can put a link there, or swap a folder on the
way, would have root write where they like, and read keys. So every folder of ours goes through ``make_folder`` or
``check_folder`` before anything in it is read or written. After that its files may be used by their paths: nobody but
this user and root can change what these mean.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":  # where only stored runs are read, whose folders its own access lists keep
    import grp
    import pwd

MOST_LINKS = 40  # on one way, as the kernel has it
PROGRAM = Path(__file__).resolve().parent
_NOT_FOR_CHILDREN = "CLOUDSTACK_"
_EVERY_USER = ["0", "0", "4294967295"]  # the uid_map of who is in no user namespace


class NotPrivate(Exception):
    """Another user could reach into a folder: which, how, and what to do."""


def make_folder(path: Path) -> None:
    """Make a folder for this user alone, with those above it that are missing, or take it where it is there.

    Raises NotPrivate when others can reach into it or swap it, OSError when it can't be made.
    """
    _walk(path, make=True)


def check_folder(path: Path) -> None:
    """Raise NotPrivate when others can reach into a folder or swap it, OSError when it is none."""
    _walk(path, make=False)


def new_file(path: str, flags: int) -> int:
    """Open a file that only its owner may read (an ``opener``): a new one, in place of whatever has the name."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    return os.open(path, flags | os.O_CREAT | os.O_EXCL | careful, 0o600)


def child_environment(**more: str) -> dict[str, str]:
    """Return the environment for a process that we start: ours and ``more``, without the operator's key and secret."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith(_NOT_FOR_CHILDREN)}, **more}


def _walk(path: Path, make: bool) -> None:
    """Look at every folder and link on the way, from the root on, so that none can change once it was looked at."""
    if sys.platform == "win32":
        path.mkdir(parents=True, exist_ok=True) if make else os.listdir(path)
        return
    here, links = "/", 0
    names = deque(path.absolute().parts[1:])
    _check(path, here, os.lstat(here), last=not names)
    while names:
        name = names.popleft()
        if name == "..":
            here = os.path.dirname(here)
            continue
        entry = os.path.join(here, name)
        info = _look(entry, make, last=not names)
        _check(path, entry, info, last=not names)
        if not stat.S_ISLNK(info.st_mode):
            here = entry
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = Path(os.readlink(entry))
        here = "/" if target.is_absolute() else here
        names.extendleft(reversed(target.parts[1:] if target.is_absolute() else target.parts))
    _check(path, here, os.lstat(here), last=True)  # dots at the end led back to one that was only on the way


def _look(entry: str, make: bool, last: bool) -> os.stat_result:
    """Return what stands there; a folder that is missing is made first if it may be, the last one for us alone."""
    try:
        return os.lstat(entry)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):  # somebody was faster: they are looked at like anybody
        os.mkdir(entry, 0o700 if last else 0o755)
    return os.lstat(entry)


def _check(path: Path, entry: str, info: os.stat_result, last: bool) -> None:
    """Raise when somebody else could change what ``entry``, on the way to ``path``, stands for."""
    kind = stat.S_IFMT(info.st_mode)
    if kind not in (stat.S_IFDIR, stat.S_IFLNK):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), entry)
    above = kind == stat.S_IFDIR and not last
    if info.st_uid not in _trusted() and not (above and _from_outside(entry, info)):
        link, owner = "the link " if kind == stat.S_IFLNK else "", _user(info.st_uid)
        raise NotPrivate(
            f"{path} is not safe to use: {link}{entry} belongs to {owner}, who could swap what lies there or read it. "
            f"Choose a place in a folder of your own or, if you are {owner}, run vrbench as that"
        )
    if kind == stat.S_IFLNK or (above and info.st_mode & stat.S_ISVTX):
        return  # in a sticky folder nobody can swap what is not theirs, and whose it is is looked at next
    if Path(entry) in PROGRAM.parents or os.lstat(PROGRAM).st_mode & stat.S_IWOTH:
        return  # who may write there may write in the program, too
    writer = next(_other_writers(entry, info), "")
    if writer:
        cure = f"chmod +t {entry}" if above else f"look into it, then chmod go-w {entry}"
        raise NotPrivate(
            f"{path} is not safe to use: {writer} may write in {entry}, and so swap what lies there. Choose a place "
            f"in a folder of your own, or keep others from swapping what is not theirs: {cure}"
        )


def _trusted() -> frozenset[int]:
    """Return who may do what they like anyhow: root, this user, whose the program is, and who became root by sudo."""
    me, before = os.geteuid(), os.environ.get("SUDO_UID", "")
    programs = {os.lstat(PROGRAM).st_uid} - {_unmapped()}  # the number of all who are outside is nobody's
    return frozenset({0, me, *programs, *([int(before)] if me == 0 and before.isdecimal() else [])})


def _from_outside(entry: str, info: os.stat_result) -> bool:
    """Return whether a folder belongs to somebody outside this user namespace, and the machine's root may have made it.

    Inside, that root has the same number as all who have none here. What stands where anybody can put it is not root's.
    """
    anybody = os.lstat(os.path.dirname(entry)).st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return info.st_uid == _unmapped() and not anybody


def _unmapped() -> int | None:
    """Return the number that stands for all users outside a user namespace, or None where there are none."""
    try:
        if Path("/proc/self/uid_map").read_text(encoding="ascii").split() == _EVERY_USER:
            return None
        return int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _other_writers(entry: str, info: os.stat_result) -> Iterator[str]:
    """Yield in words who, beside its owner, may write in a folder."""
    if info.st_mode & stat.S_IWOTH:
        yield "everybody"
    if info.st_mode & stat.S_IWGRP and not (_alone(info.st_gid, info.st_uid) and not _has_more_rights(entry)):
        yield f"the group {_group(info.st_gid)}"


def _alone(gid: int, uid: int) -> bool:
    """Return whether only a folder's owner, and who is trusted, is in its group: many users have one of their own."""
    members = {user.pw_name for user in pwd.getpwall() if user.pw_gid == gid}
    with suppress(KeyError):
        members |= set(grp.getgrgid(gid).gr_mem)
    told = _all_are_listed(uid, gid) or _group(gid) == _user(uid)
    return told and members <= {_user(number) for number in (uid, *_trusted())}


def _all_are_listed(uid: int, gid: int) -> bool:
    """Return whether the list of all users tells who is in a group; directory services may know more than they list."""
    with suppress(KeyError):
        if pwd.getpwuid(uid).pw_uid not in {user.pw_uid for user in pwd.getpwall()}:
            return False
    with suppress(KeyError):
        return grp.getgrgid(gid).gr_gid in {group.gr_gid for group in grp.getgrall()}
    return True


def _has_more_rights(entry: str) -> bool:
    """Return whether an access list gives rights that the mode does not tell."""
    if sys.platform != "linux":
        return False
    with suppress(OSError):
        return "system.posix_acl_access" in os.listxattr(entry)
    return False


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
