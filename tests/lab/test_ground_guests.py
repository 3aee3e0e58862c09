"""Guests: a real SSH server, user data honoured, and no way to touch the machine they live on."""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab.box import FORWARDED, STATIC, build, call, in_box, make_key, ssh, vm, wait_until
from vrbench.lab.ground.port import GroundError
from vrbench.lab.packets.namespace_ground import EGRESS_TARGET, NamespaceGround
from vrbench.lab.system.namespaces import run

pytestmark = pytest.mark.lab

_CLOUD_CONFIG = """\
#cloud-config
write_files:
  - path: /etc/ssh/sshd_config.d/10-test.conf
    content: |
      MaxStartups 123:30:456
  - path: /usr/forbidden
    content: x
runcmd:
  - echo "$HOME" > /tmp/shell
  - [touch, "/tmp/a file"]
packages: [nothing]
"""


def test_a_guest_can_not_alter_the_machine(tmp_path: Path) -> None:
    """As its root: no file outside its own, no mount, no disk device, no kernel setting, no clock."""
    key = make_key(tmp_path)
    mark = f"vrbench-test-{os.getpid()}"
    attempts = (
        f"touch /usr/{mark}",
        f"touch /etc/{mark}",
        f"touch /var/lib/{mark}",
        f"touch {tmp_path}/{mark}",
        "mount -o remount,rw /",
        "mount -t tmpfs none /mnt",
        "umount -l /usr || umount /proc/sys",
        "mknod /tmp/disk b 254 0",
        "test -b /dev/vda || test -b /dev/sda",
        "echo 60 > /proc/sys/vm/swappiness",
        "echo h > /proc/sysrq-trigger",
        "unshare --mount true",
        "test -s /etc/ssh/ssh_host_rsa_key",
        "test -e /run/vrlab",
    )

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1, key))
        for attempt in attempts:
            assert ssh(tmp_path, FORWARDED, attempt).returncode != 0, attempt
        assert ssh(tmp_path, FORWARDED, f"touch /tmp/{mark} /var/tmp/{mark} ~/{mark}").returncode == 0

    in_box(scene)
    for directory in ("/tmp", "/var/tmp", os.path.expanduser("~"), "/usr", "/etc"):
        assert not Path(directory, mark).exists()


def test_a_guest_has_what_the_probes_need(tmp_path: Path) -> None:
    """Its own name and process table, python3 (the interpreter of the lab), ping."""
    key = make_key(tmp_path)

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1, key))
        assert ssh(tmp_path, FORWARDED, "hostname").stdout == "vm-1-net\n"
        version = ssh(tmp_path, FORWARDED, "python3 -c 'import sys; print(sys.version)'")
        assert version.stdout.strip() == sys.version.replace("\n", "").strip() or version.stdout.strip() == sys.version
        assert ssh(tmp_path, FORWARDED, f"ping -c1 -W30 {EGRESS_TARGET}").returncode == 0
        processes = ssh(tmp_path, FORWARDED, "ls /proc").stdout.split()
        assert max(int(name) for name in processes if name.isdigit()) < 200

    in_box(scene)


def test_only_the_key_of_the_order_opens_a_guest(tmp_path: Path) -> None:
    """No password is ever asked for; a guest without the key refuses it."""
    key = make_key(tmp_path)

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1, key), vm(2))
        assert ssh(tmp_path, FORWARDED, "true").returncode == 0
        assert "(publickey)" in ssh(tmp_path, STATIC, "true").stderr
        zone.reset_vm_keys("vm-2-net", (key,))
        assert ssh(tmp_path, STATIC, "true").returncode == 0

    in_box(scene)


def test_each_guest_has_a_host_key_of_its_own() -> None:
    """Two guests show two keys; a guest keeps its key over a power cycle."""

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1), vm(2))
        before = [host_key(address) for address in (FORWARDED, STATIC)]
        assert before[0] != before[1]
        zone.stop_vm("vm-1-net")
        zone.start_vm("vm-1-net")
        assert host_key(FORWARDED) == before[0]

    in_box(scene)


def host_key(address: str) -> str:
    """Return the ed25519 host key that an address shows, without the address."""
    return call("upstream", "ssh-keyscan", "-T", "30", "-t", "ed25519", address).stdout.split()[-1]


def test_cloud_config_is_honoured_once(tmp_path: Path) -> None:
    """sshd runs with the files written, runcmd ran as root would; what can't be done is told and stops nothing."""
    pytest.importorskip("yaml")
    key = make_key(tmp_path)
    config = f"{_CLOUD_CONFIG}ssh_authorized_keys:\n  - {key}\n".encode()

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1, user_data=config))
        ran = "until test -e '/tmp/a file'; do sleep 0.05; done; cat /tmp/shell /etc/ssh/sshd_config.d/10-test.conf"
        assert ssh(tmp_path, FORWARDED, ran).stdout == "/run/home\nMaxStartups 123:30:456\n"
        assert "startups" in ssh(tmp_path, FORWARDED, "grep -az 456 /proc/[0-9]*/cmdline").stdout
        console = Path("/run/vrlab/vm/vm-1-net/console.log").read_text()
        assert "/usr/forbidden" in console
        assert "not honoured: packages" in console
        zone.stop_vm("vm-1-net")
        zone.start_vm("vm-1-net")
        assert not {"a file", "shell"} & set(ssh(tmp_path, FORWARDED, "ls /tmp").stdout.splitlines())

    in_box(scene)


def test_a_script_is_honoured(tmp_path: Path) -> None:
    """User data that starts with #! is run by the interpreter it names."""
    key = make_key(tmp_path)
    script = b"#!/usr/bin/env python3\nopen('/tmp/done', 'w').write('by python')\n"

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1, key, user_data=script))
        done = ssh(tmp_path, FORWARDED, "until test -s /tmp/done; do sleep 0.05; done; cat /tmp/done")
        assert done.stdout == "by python"

    in_box(scene)


def test_a_guest_that_can_not_boot_shows_its_console() -> None:
    """A broken sshd option in the user data ends the boot with sshd's own words, and the node is gone."""
    broken = b'#cloud-config\n{"write_files": [{"path": "/etc/ssh/sshd_config.d/a.conf", "content": "NoSuchOption x"}]}'

    def scene(zone: NamespaceGround) -> None:
        build(zone)
        with pytest.raises(GroundError, match="NoSuchOption"):
            zone.add_vm(vm(1, user_data=broken))
        zone.remove_vm("vm-1-net")
        assert not Path("/run/netns/vm-1-net").exists()

    in_box(scene)


def test_removing_a_guest_ends_all_that_ran_in_it(tmp_path: Path) -> None:
    """A detached process of a guest is gone when the guest is; so are its cable and its disk."""
    key = make_key(tmp_path)

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1, key))
        ssh(tmp_path, FORWARDED, "setsid -f sleep 987654 >/dev/null 2>&1 </dev/null")
        assert "987654" in run(["ps", "-eo", "args"])
        zone.remove_vm("vm-1-net")
        assert "987654" not in run(["ps", "-eo", "args"])
        assert not Path("/run/vrlab/vm/vm-1-net").exists()
        zone.add_vm(vm(1, key))

    in_box(scene)


def test_ten_guests_boot_side_by_side() -> None:
    """All are there when the last call returns; how long that takes is the scale bench's to say."""

    def scene(zone: NamespaceGround) -> None:
        build(zone)
        with ThreadPoolExecutor(10) as threads:
            list(threads.map(zone.add_vm, [vm(number) for number in range(10)]))
        assert len([node for node in zone.nodes() if node.kind == "vm"]) == 10

    in_box(scene)


def test_a_crashed_guest_is_no_node_and_starts_again(tmp_path: Path) -> None:
    """When its init is killed everything in it is; it vanishes from the nodes and can be started."""
    key = make_key(tmp_path)

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1, key))
        os.kill(int(Path("/run/vrlab/vm/vm-1-net/pid").read_text()), signal.SIGKILL)
        assert wait_until(lambda: not [node for node in zone.nodes() if node.kind == "vm"])
        zone.start_vm("vm-1-net")
        assert ssh(tmp_path, FORWARDED, "hostname").stdout == "vm-1-net\n"

    in_box(scene)


def test_an_interpreter_below_tmp_stays_usable_and_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that lives where the guest has its own directory is seen there all the same, read-only."""
    key = make_key(tmp_path)
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "module.py").write_text("")
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "python"))

    def scene(zone: NamespaceGround) -> None:
        build(zone, vm(1, key))
        look = f"ls {tmp_path}/python; touch {tmp_path}/python/x; touch /tmp/y && ls {tmp_path}"
        done = ssh(tmp_path, FORWARDED, look)
        assert done.stdout == "module.py\npython\n"
        assert "Read-only" in done.stderr

    in_box(scene)
