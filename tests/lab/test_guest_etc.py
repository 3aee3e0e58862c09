"""A guest's /etc is its own: nothing that is installed on this machine meanwhile takes it away."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.lab.box import FORWARDED, STATIC, build, in_box, make_key, ssh, vm
from vrbench.lab.packets.guest_etc import OWN_FILES, make_etc
from vrbench.lab.packets.namespace_ground import NamespaceGround
from vrbench.lab.system import syscalls
from vrbench.lab.system.namespaces import run


@pytest.mark.lab
def test_guests_know_their_users_whatever_is_installed_meanwhile(tmp_path: Path) -> None:
    """As useradd and package managers do it, every file is replaced by another one of the same name.

    This machine's own /etc stays as it is: in the box a copy takes its place before there are guests.
    """
    key = make_key(tmp_path)
    told = "id -un; cat /etc/hostname /etc/resolv.conf; getent hosts vm-1-net; test -s /etc/ssh/sshd_config && echo all"

    def scene(zone: NamespaceGround) -> None:
        run(["cp", "-a", "/etc", str(tmp_path)])
        syscalls.mount(str(tmp_path / "etc"), "/etc", flags=syscalls.MS_BIND)
        build(zone, vm(1, key), vm(2, key))
        before = [ssh(tmp_path, target, told) for target in (FORWARDED, STATIC)]
        for name in OWN_FILES:
            replace_by_a_copy(Path("/etc") / name)
        os.rename("/etc/ssh", "/etc/ssh-old")
        after = [ssh(tmp_path, target, told) for target in (FORWARDED, STATIC)]
        assert [done.stdout for done in after] == [done.stdout for done in before]
        assert [done.stdout.splitlines()[1] for done in after] == ["vm-1-net", "vm-2-net"]
        assert all(done.stdout.endswith("\nall\n") for done in after)

    in_box(scene)


def replace_by_a_copy(path: Path) -> None:
    if path.exists():
        fresh = path.with_name(path.name + "+")
        shutil.copyfile(path, fresh)
        shutil.copystat(path, fresh)
        fresh.rename(path)


@pytest.mark.lab
def test_guests_see_certificates_and_no_secrets_of_the_machine(tmp_path: Path) -> None:
    """What a program needs to get along is there; what only this machine's root may read is not."""
    key = make_key(tmp_path)

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1, key))
        for path in ("ssl/certs", "alternatives", "ld.so.cache", "localtime", "services"):
            if Path("/etc", path).exists():
                assert ssh(tmp_path, FORWARDED, f"test -e /etc/{path}").returncode == 0, path
        for path in ("gshadow", "shadow-", "sudoers", "ssh/ssh_host_rsa_key", "machine-id"):
            assert ssh(tmp_path, FORWARDED, f"test -e /etc/{path}").returncode != 0, path
        assert ssh(tmp_path, FORWARDED, "touch /etc/hosts || touch /etc/services").returncode != 0

    in_box(scene)


def test_only_what_everybody_may_read_is_taken(tmp_path: Path) -> None:
    """Links stay links, a dangling one too; a machine that lacks things gives a guest that lacks them."""
    machine = tmp_path / "machine"
    machine.mkdir()
    for name, mode in (("services", 0o644), ("ld.so.cache", 0o600), ("gshadow", 0o644), ("os-release", 0o644)):
        (machine / name).write_text(name)
        (machine / name).chmod(mode)
    (machine / "localtime").symlink_to("../usr/share/zoneinfo/Nowhere")
    make_etc(tmp_path / "etc", machine)
    own = {*OWN_FILES, "ssh"}
    assert {path.name for path in (tmp_path / "etc").iterdir()} - own == {"services", "os-release", "localtime"}
    assert (tmp_path / "etc" / "localtime").readlink() == Path("../usr/share/zoneinfo/Nowhere")
    assert (tmp_path / "etc" / "services").read_text() == "services"
