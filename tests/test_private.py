"""Folders that others could reach into are refused before anything is written; what is created follows no link."""

from __future__ import annotations

import ast
import grp
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.test_layers import FILES, PACKAGE, tree
from vrbench.lab import lifecycle
from vrbench.lab.box import Box
from vrbench.lab.status import LabError, LabOptions
from vrbench.lab.system.processes import start_time
from vrbench.private import NotPrivate, check_folder, child_environment, make_folder, new_file
from vrbench.store.directory import RunDir
from vrbench.store.files import StoreError

NOBODY = 65534
SECRET = "what root keeps here"


@pytest.fixture
def open_place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a folder like /tmp: everybody may write there, and swap nothing that is not theirs.

    The program is root's, wherever this checkout lies and whose it is.
    """
    monkeypatch.setattr("vrbench.private.PROGRAM", Path("/usr/lib"))
    if os.geteuid():
        pytest.skip("being another user takes root")
    place = Path(tempfile.mkdtemp())
    place.chmod(0o1777)
    yield place
    shutil.rmtree(place)


def given(path: Path) -> Path:
    """Give a file, a folder or a link to another user."""
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    return path


def folder(path: Path, mode: int = 0o755) -> Path:
    path.mkdir()
    path.chmod(mode)
    return path


def link(path: Path, target: Path) -> Path:
    path.symlink_to(target)
    return path


ATTACKS: dict[str, Callable[[Path], Path]] = {
    "another's folder": lambda place: given(folder(place / "theirs")),
    "a folder above it": lambda place: given(folder(place / "theirs")) / "zone",
    "a link of theirs": lambda place: given(link(place / "theirs", folder(place / "ours"))),
    "a link of theirs above it": lambda place: given(link(place / "theirs", folder(place / "ours"))) / "zone",
    "a link of theirs to nothing": lambda place: given(link(place / "theirs", place / "nothing")),
    "by a link of ours": lambda place: link(place / "ours", given(folder(place / "theirs"))) / "zone",
    "open to everybody": lambda place: folder(place / "theirs", 0o777),
    "open to everybody above it": lambda place: folder(place / "theirs", 0o777) / "zone",
    "sticky, and ours is in it itself": lambda place: folder(place / "theirs", 0o1777),
    "sticky, of theirs": lambda place: given(folder(place / "theirs", 0o1777)) / "zone",
    "by dots": lambda place: folder(place / "ours") / ".." / given(folder(place / "theirs")).name / "zone",
    "by dots at its end": lambda place: folder(folder(place / "theirs", 0o1777) / "ours") / "..",
    "by a link of ours to where it is": lambda place: link(folder(place / "theirs", 0o1777) / "ours", Path()),
    "open to a group": lambda place: given_to_group(folder(place / "theirs", 0o775)) / "zone",
}


def given_to_group(path: Path) -> Path:
    os.chown(path, -1, NOBODY)
    return path


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_others_can_reach_into_is_refused(open_place: Path, attack: str) -> None:
    """It is said what is wrong with which folder, and what to do; nothing is made there, and no mode changed."""
    path = ATTACKS[attack](open_place)
    before = seen(open_place)
    for use in (make_folder, check_folder if path.exists() else make_folder):
        with pytest.raises(
            NotPrivate, match=r"(/theirs belongs to nobody, who could swap|may write in .*/theirs, and so)"
        ):
            use(path)
    assert seen(open_place) == before


def seen(place: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mode for path in place.rglob("*")}


def test_what_is_ours_is_taken(open_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below /tmp, by links of ours, by dots, with a group that nobody else is in; as root by sudo, in one's own."""
    make_folder(open_place / "ours" / "zone")
    link(open_place / "here", open_place / "ours")
    for path in ("ours/zone", "here/zone", "ours/../here/more", "ours/zone"):
        make_folder(open_place / path)
    home = given(folder(open_place / "home"))
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    make_folder(home / "zone")
    monkeypatch.setenv("SUDO_UID", "54321")
    with pytest.raises(NotPrivate, match="nobody, who could swap"):
        check_folder(home / "zone")
    alone = folder(open_place / "alone", 0o775)
    os.chown(alone, NOBODY, 4_000_001)  # a group that nobody is in
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    make_folder(alone / "zone")


def test_whose_the_program_is_needs_no_link(open_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container that mounts a user's checkout, and where a checkout lies in a folder open to everybody."""
    builds = folder(open_place / "builds", 0o777)
    checkout = given(folder(builds / "checkout"))
    program, reports = folder(checkout / "vrbench"), given(folder(checkout / "reports"))
    with pytest.raises(NotPrivate, match="everybody may write in"):
        make_folder(reports / "run")
    monkeypatch.setattr("vrbench.private.PROGRAM", program)
    with pytest.raises(NotPrivate, match="belongs to nobody"):
        make_folder(reports / "run")
    given(program)
    make_folder(reports / "run")
    with pytest.raises(NotPrivate, match="everybody may write in"):
        make_folder(folder(open_place / "elsewhere", 0o777) / "run")
    program.chmod(0o777)
    make_folder(open_place / "elsewhere" / "run")


def test_in_a_user_namespace_the_way_may_be_roots(open_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not in it has one number there. Such a folder may be on the way, where nobody else could have put it."""
    monkeypatch.setattr("vrbench.private._unmapped", lambda: NOBODY)
    machine = given(folder(folder(open_place / "ours") / "machine"))
    make_folder(machine / "zone")
    for path in (given(folder(open_place / "theirs")) / "zone", given(folder(open_place / "ours" / "last"))):
        with pytest.raises(NotPrivate, match="belongs to nobody"):
            make_folder(path)


def test_in_a_user_namespace_a_program_of_roots_makes_nobody_trusted(
    open_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies there with the number that all have who are outside."""
    monkeypatch.setattr("vrbench.private._unmapped", lambda: NOBODY)
    monkeypatch.setattr("vrbench.private.PROGRAM", given(folder(folder(open_place / "usr") / "vrbench")))
    with pytest.raises(NotPrivate, match="theirs belongs to nobody"):
        make_folder(given(folder(open_place / "theirs")) / "zone")


@pytest.mark.parametrize(("group", "refused"), [("domain users", True), ("jane", False)])
def test_who_is_in_a_group_is_not_believed_of_a_service_that_lists_nobody(
    open_place: Path, monkeypatch: pytest.MonkeyPatch, group: str, refused: bool
) -> None:
    """As sssd does: then a group is a user's own where it has their name."""
    jane = pwd.struct_passwd(("jane", "x", 4_000_001, 4_000_002, "", "/", "/bin/sh"))
    monkeypatch.setattr("pwd.getpwuid", {0: pwd.getpwuid(0), jane.pw_uid: jane}.__getitem__)
    monkeypatch.setattr("grp.getgrgid", {jane.pw_gid: grp.struct_group((group, "x", jane.pw_gid, []))}.__getitem__)
    monkeypatch.setenv("SUDO_UID", str(jane.pw_uid))
    for owner in (jane.pw_uid, 0):
        home = folder(open_place / f"home-{owner}", 0o775)
        os.chown(home, owner, jane.pw_gid)
        if refused or owner == 0:
            with pytest.raises(NotPrivate, match=f"the group {group} may write"):
                make_folder(home / "zone")
        else:
            make_folder(home / "zone")


def test_a_new_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Whatever the umask; those above it can be looked into, and written by nobody else."""
    before = os.umask(0)
    try:
        make_folder(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / part).stat().st_mode) for part in ("a", "a/b", "a/b/c")]
    assert modes == [0o755, 0o755, 0o700]


def test_links_in_a_circle_and_files_on_the_way_are_the_systems_own_errors(tmp_path: Path) -> None:
    link(tmp_path / "one", link(tmp_path / "two", tmp_path / "one"))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="symbolic links"):
        make_folder(tmp_path / "one" / "zone")
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "file" / "zone")
    with pytest.raises(FileNotFoundError):
        check_folder(tmp_path / "nothing")


@pytest.mark.parametrize("planted", ["symlink_to", "hardlink_to"])
def test_what_is_created_follows_no_link(tmp_path: Path, planted: str) -> None:
    """A link that was there before the folder was closed is replaced, and what it leads to stays as it is."""
    (tmp_path / "secret").write_text(SECRET)
    getattr(tmp_path / "file", planted)(tmp_path / "secret")
    with open(tmp_path / "file", "w", opener=new_file) as file:
        file.write("ours")
    assert (tmp_path / "secret").read_text() == SECRET
    assert stat.S_IMODE((tmp_path / "file").lstat().st_mode) == 0o600


SWAP = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
place, victim = sys.argv[1:]
os.chdir(place)
print("swapping", flush=True)
while True:
    for make in (lambda: os.mkdir("zone", 0o777), lambda: os.symlink(victim, "zone")):
        try:
            make()
            os.rmdir("zone") if os.path.isdir("zone") and not os.path.islink("zone") else os.unlink("zone")
        except OSError:
            pass
"""


def test_nobody_is_fast_enough(open_place: Path) -> None:
    """Another user swaps the folder for a link all the time: root makes its own or refuses, and never follows."""
    victim = folder(open_place / "victim")
    with subprocess.Popen([sys.executable, "-c", SWAP, str(open_place), str(victim)], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"swapping\n"
            for _ in range(500):
                try_to_write(open_place / "zone")
        finally:
            other.kill()
    assert os.listdir(victim) == []


def try_to_write(zone: Path) -> None:
    try:
        make_folder(zone)
    except (NotPrivate, OSError):
        return
    with open(zone / "keys", "w", opener=new_file) as file:
        file.write(SECRET)
    assert zone.stat().st_uid == os.geteuid()
    shutil.rmtree(zone)


def test_children_are_told_nothing_of_the_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """And all the rest, with what they need beside it."""
    monkeypatch.setenv("CLOUDSTACK_SECRET", SECRET)
    monkeypatch.setenv("OTHER", "kept")
    told = child_environment(PATH="/bin")
    assert SECRET not in told.values()
    assert (told["OTHER"], told["PATH"]) == ("kept", "/bin")


STARTS = re.compile(r"(subprocess\.(Popen|run|call|check_\w+)|os\.(posix_spawn|exec|spawn|popen|system)\w*)\(")
ELSEWHERE = ("lab/packets/", "lab/api/", "lab/system/")  # inside the box, whose environment is made when it starts
THE_USERS_OWN = {
    "bootstrap.py run_all",
    "lab/enter.py _become",
    "lab/lifecycle.py exec_",
}  # commands as they were typed


def test_whatever_is_started_gets_an_environment_from_there() -> None:
    """Wherever a process is started: what it inherits must not be found in any other's /proc/PID/environ."""
    found = {
        f"{path.relative_to(PACKAGE)} {function.name}"
        for path in FILES
        if not str(path.relative_to(PACKAGE)).startswith(ELSEWHERE)
        for function in ast.walk(tree(path))
        if isinstance(function, ast.FunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and STARTS.match(ast.unparse(call))
        if "child_environment(" not in ast.unparse(call)
    }
    assert found == THE_USERS_OWN


# -- who uses it


def test_no_lab_is_made_where_others_can_reach_it(open_place: Path) -> None:
    """Before anything is started: its keys would be read by another user."""
    zone = given(folder(open_place / "theirs"))
    victim = open_place / "victim"
    victim.write_text(SECRET)
    for name in ("lock", "lab.log", "cloudstack.ini", "lab.json.new"):
        given(link(zone / name, victim))
    with pytest.raises(NotPrivate, match="belongs to nobody"):
        lifecycle.up(zone, LabOptions(), lifeline=True)
    assert victim.read_text() == SECRET
    assert stat.S_IMODE(zone.stat().st_mode) == 0o755


@pytest.mark.parametrize("name", ["lock", "lab.log", "cloudstack.ini", "lab.json.new"])
def test_links_from_before_are_not_followed(open_place: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder was open once, and has been closed: what lies in it is replaced or refused."""
    zone = folder(open_place / "zone", 0o700)
    (zone / "lock").touch()
    (zone / name).unlink(missing_ok=True)
    victim = open_place / "victim"
    victim.write_text(SECRET)
    given(link(zone / name, victim))
    monkeypatch.setattr("vrbench.lab.box.spawn", lambda *_: 1 << 30)  # no lab is needed to see what is written
    with pytest.raises(LabError, match=r"ended before it was ready|symbolic links"):
        lifecycle.up(zone, LabOptions(), lifeline=True)
    assert victim.read_text() == SECRET


def test_a_record_of_another_user_ends_no_process(open_place: Path) -> None:
    """Whoever may write it could name any process of root's, and have root enter any namespace."""
    zone = given(folder(open_place / "theirs"))
    (zone / "lock").touch()
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        began = start_time(sleeper.pid) or 0
        box = Box(sleeper.pid, began, sleeper.pid, began, "")
        (zone / "lab.json").write_text(repr({f: getattr(box, f) for f in box.__slots__}).replace("'", '"'))
        for use in (lifecycle.down, lifecycle.status, lambda state: lifecycle.enter(state, "upstream", ["id"])):
            with pytest.raises(NotPrivate, match="belongs to nobody"):
                use(zone)
        assert sleeper.poll() is None
        sleeper.kill()


def test_no_run_is_kept_where_others_can_swap_it(open_place: Path) -> None:
    """Below reports that everybody may write to, or that are another user's; below /tmp it is fine."""
    with pytest.raises(NotPrivate, match=r"everybody may write in .*chmod \+t"):
        RunDir.create(folder(open_place / "reports", 0o777), "run-1", 0)
    with pytest.raises(NotPrivate, match="belongs to nobody"):
        RunDir.create(given(folder(open_place / "theirs")), "run-1", 0)
    RunDir.create(open_place, "run-1", 0)


def test_no_run_of_another_user_is_worked_on(open_place: Path) -> None:
    """Its journal would say what root removes, and its lock where root writes."""
    run = RunDir.create(open_place, "run-1", 0)
    given(link(run.path / "run.lock", open_place / "victim"))
    with pytest.raises(StoreError, match="symbolic links"), run.owned():
        pass
    given(run.path)
    with pytest.raises(NotPrivate, match="belongs to nobody"), run.owned():
        pass
    assert not (open_place / "victim").exists()
