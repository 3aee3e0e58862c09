"""One guest VM as the box sees it: its directory, its cable, its process tree; and how it boots and is powered off."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vrbench.lab.ground.port import GroundError
from vrbench.lab.ground.specs import VmSpec
from vrbench.lab.packets.dhcp import resolv_conf
from vrbench.lab.packets.guest_presets import PRESETS, GuestPreset
from vrbench.lab.packets.userdata import ParsedUserData, parse_user_data
from vrbench.lab.system.namespaces import add_netns, delete_links, inside, ip_batch, remove_netns, run
from vrbench.lab.system.processes import children, python_command

VM_DIR = Path("/run/vrlab/vm")
_BOOT_DEADLINE_S = 90.0  # half a minute was too short where six labs start at once on two cores
_TCP_LISTEN = "0A"
_RENEWAL_S = 3.0

# What cloud-init puts before root's keys where a template has a user of its own; the time it takes is shorter here.
_OTHER_USER = (
    'command="echo \'Please login as the user \\"{user}\\" rather than the user \\"root\\".\';echo;sleep 1;exit 142"'
)
_SSHD_CONFIG = """\
Include /etc/ssh/sshd_config.d/*.conf
Port 22
ListenAddress 0.0.0.0
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile /run/sshd.pid
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
Subsystem sftp internal-sftp
SetEnv "PATH={path}"
"""


@dataclass(slots=True)
class Guest:
    """A VM and, while it runs, the process that holds its init. ``cable`` is unique in the box."""

    spec: VmSpec
    cable: str
    bridge: str
    rootless: bool
    process: subprocess.Popen[bytes] | None = None

    @property
    def preset(self) -> GuestPreset:
        """What it is made like."""
        return PRESETS[self.spec.like]

    @property
    def directory(self) -> Path:
        return VM_DIR / self.spec.name

    @property
    def running(self) -> bool:
        """Whether its init runs."""
        return self.process is not None and self.process.poll() is None

    def create(self) -> None:
        """Make its disk: a host key of its own, its accounts, its keys, its user data."""
        user_data = parse_user_data(self.spec.user_data)
        for part in ("home/.ssh", "ssh/sshd_config.d", "etc", "run", "tmp", "vartmp", "dev"):
            (self.directory / part).mkdir(parents=True)
        key = self.directory / "ssh" / "ssh_host_ed25519_key"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.spec.name, "-f", str(key)])
        self._write_accounts()
        self.set_keys((*self.spec.authorized_keys, *user_data.authorized_keys))
        self._write_boot(user_data)

    def set_keys(self, keys: tuple[str, ...]) -> None:
        """Replace the login user's authorized keys."""
        lines, user = [key.strip() for key in keys], self.preset.user
        if user:
            self._write_keys("users", lines)
            lines = [f"{_OTHER_USER.format(user=user)} {line}" for line in lines]
        self._write_keys("authorized_keys", lines)

    def _write_keys(self, name: str, lines: Sequence[str]) -> None:
        file = self.directory / "home" / ".ssh" / name
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def boot(self) -> None:
        """Power on; returns when its SSH server listens, raises GroundError with its console if it never does."""
        if self.running:
            return
        self.power_off()  # what a crash has left
        self._plug_in()
        with (self.directory / "console.log").open("ab") as console:
            self.process = subprocess.Popen(
                self._boot_command(), stdin=subprocess.DEVNULL, stdout=console, stderr=console, cwd="/"
            )
        self._wait_for_ssh()
        (self.directory / "pid").write_text(str(self._init_pid()), encoding="ascii")

    def drop_lease(self) -> None:
        """Take its address away, and with it every route."""
        ip_batch(["address flush dev eth0"], netns=self.spec.name)

    def renew_lease(self) -> None:
        """Ask the router for the address anew, from within."""
        pid = (self.directory / "pid").read_text(encoding="ascii")
        client = python_command("vrbench.lab.packets.dhcp", "eth0", self.spec.mac, self.spec.name, str(_RENEWAL_S))
        run(["nsenter", f"--target={pid}", "--net", "--mount", "--pid", "--uts", "--ipc", "--", *client])

    def power_off(self) -> None:
        """Take it off the wire and kill everything in it, at once; the disk stays."""
        delete_links([self.cable])
        if self.process is not None:
            self._kill()
        (self.directory / "pid").unlink(missing_ok=True)
        remove_netns(self.spec.name)

    def destroy(self) -> None:
        """Power off and erase the disk."""
        self.power_off()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _kill(self) -> None:
        """Kill its init, and with it all that runs there; the holder ends when the last of them is gone."""
        assert self.process is not None
        inits = children(self.process.pid)
        for pid in inits:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not inits:
            self.process.kill()
        self.process.wait()
        self.process = None

    def _plug_in(self) -> None:
        spec = self.spec
        ports = (("ipv4/ip_unprivileged_port_start", "0"),) if self.rootless else ()
        groups = self.preset.pings or ("0 0" if self.rootless else "0 2147483647")
        add_netns(spec.name, (*ports, ("ipv4/ping_group_range", groups)))
        ip_batch(
            [
                f"link add {self.cable} type veth peer name eth0 address {spec.mac} netns {spec.name}",
                f"link set {self.cable} master {self.bridge}",
                f"link set {self.cable} up",
            ]
        )
        known = [f"address add {spec.ip}/{spec.prefix} dev eth0", f"route add default via {spec.gateway}"]
        ip_batch(["link set lo up", "link set eth0 up", *([] if spec.leased else known)], netns=spec.name)

    def _boot_command(self) -> list[str]:
        enter = ["nsenter", f"--net=/run/netns/{self.spec.name}"]
        # Slave: when the box lets go of a network namespace, this VM's copy of the mount table must as well.
        part = ["unshare", "--mount", "--propagation", "slave", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
        return [*enter, *part, *python_command("vrbench.lab.packets.guest_init", str(self.directory))]

    def _wait_for_ssh(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + _BOOT_DEADLINE_S
        while not inside(self.spec.name, _anyone_listens):
            if self.process.poll() is not None or time.monotonic() > deadline:
                console = (self.directory / "console.log").read_text(encoding="utf-8", errors="replace")
                self.power_off()
                raise GroundError(f"guest {self.spec.name} did not boot; its console ends:\n{console[-2000:]}")
            time.sleep(0.01)

    def _init_pid(self) -> int:
        assert self.process is not None
        found = children(self.process.pid)
        if not found:
            raise GroundError(f"guest {self.spec.name} ended right after its boot")
        return found[0]

    def _write_accounts(self) -> None:
        etc = self.directory / "etc"
        guest = "guest:*:1000:1000:guest:/run/home:/bin/sh\n" if self.rootless else ""
        shell, user = self.preset.shell, self.preset.user
        guest += f"{user}:*:1001:1001:{user}:/run/home:{shell}\n" if user else ""
        (etc / "passwd").write_text(
            f"root:*:0:0:root:/run/home:{shell}\n"
            "sshd:*:100:65534::/run/sshd:/usr/sbin/nologin\n"
            f"nobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n{guest}",
            encoding="ascii",
        )
        (etc / "group").write_text("root:x:0:\ntty:x:5:\nguest:x:1000:\nnogroup:x:65534:\n", encoding="ascii")
        accounts = ("root", "guest", *filter(None, [user]))
        (etc / "shadow").write_text("".join(f"{name}:*:19000::::::\n" for name in accounts), encoding="ascii")
        (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nshadow: files\nhosts: files\n")
        (etc / "hostname").write_text(self.spec.name + "\n", encoding="ascii")
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n{self.spec.ip} {self.spec.name}\n", encoding="ascii")
        (etc / "resolv.conf").write_text(resolv_conf(self.spec.gateway), encoding="ascii")
        interpreter = os.path.dirname(os.path.realpath(sys.executable))
        path = f"{interpreter}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        users = f"Match User {user}\nAuthorizedKeysFile .ssh/users\n" if user else ""
        usual = _SSHD_CONFIG.format(path=path)
        file = self.directory / "ssh" / "sshd_config"
        file.write_text(f"{self.preset.sshd}\n{usual}{users}", encoding="utf-8")

    def _write_boot(self, user_data: ParsedUserData) -> None:
        """Write down as JSON what the guest's init does (see guest_init.py)."""
        boot = {
            "hostname": self.spec.name,
            "rootless": self.rootless,
            "mac": self.spec.mac if self.spec.leased else "",
            "sshd": shutil.which("sshd"),
            "setup": self.preset.setup.replace("{interpreter}", os.path.realpath(sys.executable)),
            "interpreters": [sys.base_prefix, sys.prefix],  # a virtual environment may stand anywhere
            "files": [
                {
                    "path": file.path,
                    "content": base64.b64encode(file.content).decode("ascii"),
                    "mode": file.mode,
                    "append": file.append,
                }
                for file in user_data.files
            ],
            "script": base64.b64encode(user_data.script).decode("ascii"),
            "ignored": list(user_data.ignored),
        }
        (self.directory / "boot.json").write_text(json.dumps(boot), encoding="utf-8")


def _anyone_listens() -> bool:
    with open("/proc/thread-self/net/tcp", encoding="ascii") as table:
        return any(line.split()[3] == _TCP_LISTEN for line in table.readlines()[1:])
