"""Where the agent lives in one guest, for a whole run: its directory, and the one connection over which it is asked.

The connection crosses the very router that is restarted: it breaks with every trial, and is made anew when it is
needed. Over one connection the agent is one process that answers line by line (``talk``), since a guest pays more for
starting an interpreter than for anything that it is asked. After a restart it starts when the trial is over: ten
interpreters that start at once on one host while it is probed are seen in its banners. Where ping stands in, a shell
script is started for each question.
"""

from __future__ import annotations

import json
import secrets
import shlex
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass

from vrbench.core.model import Guest
from vrbench.probes.config import ProbeError
from vrbench.probes.guest_agents import PingAgent, PythonAgent, agent_for
from vrbench.probes.readiness import FIND_PING, FIND_PYTHON
from vrbench.remote.connection import Completed, Remote, Talk
from vrbench.remote.errors import CommandFailed, RemoteError
from vrbench.remote.kept import KeptConnection

ASK_S = 30.0  # what a question may take, and an interpreter to start in a slow guest
KEPT_S = 5.0  # the same over a connection that may have broken since it was last used
CLOCK_S = 10.0
ROOM_KB = 1024  # of a trial's samples in the guest

# Makes the agent's directory where there is room, and looks for what can run an agent; prints the directory, what was
# found, how to get the right to raw sockets (empty where there is no need or no way), and the program.
_DEPLOY = (
    """
umask 077
w=
for d in /tmp/vrbench-{id} "$HOME/.vrbench-{id}" /var/tmp/vrbench-{id} /dev/shm/vrbench-{id} ""; do
  [ -n "$d" ] || {{
    echo "$w, and no room of {room} kB elsewhere: make room there, or choose another template" >&2
    exit 1
  }}
  e=$(mkdir "$d" 2>&1 && dd if=/dev/zero of="$d/room" bs=1024 count={room} 2>&1) && rm "$d/room" && break
  w=${{w:-$e}}
  rm -rf "$d"
done
"""
    + FIND_PYTHON
    + """
k=python
[ -n "$p" ] || {{
"""
    + FIND_PING
    + """
}}
[ -n "$p" ] || {{ echo "neither Python 3.6 or later nor a ping of iputils or BusyBox" >&2; rmdir "$d"; exit 1; }}
s=; [ "$(id -u)" != 0 ] && sudo -n true 2>/dev/null && s="sudo -n"
printf "%s\\n" "$d" "$k" "$s" "$p"
"""
)


@dataclass(frozen=True, slots=True)
class GuestFacts:
    """What a guest says of itself; another ``boot_id`` means another monotonic clock; ``python`` may be empty."""

    boot_id: str
    python: str
    kernel: str
    monotonic_ns: int
    wall_ns: int
    gateway: str


class AgentHome:
    """The agent in one guest; ``connect`` opens a new connection to the guest.

    Methods raise RemoteError when the guest can't be reached and ProbeError when the agent can't do its work.
    """

    def __init__(self, guest: Guest, connect: Callable[[], Remote]) -> None:
        self.guest = guest
        self.path = ""
        self.owes = False  # samples that were not fetched are still here
        self.agent: PythonAgent | PingAgent = PythonAgent(())
        self._kept = KeptConnection(connect)
        self._talk: Talk | None = None
        self._turn = threading.Lock()
        self._tasks = 0

    def connection(self) -> AbstractContextManager[Remote]:
        """Lend the connection."""
        return self._kept.use()

    def settle_in(self) -> GuestFacts:
        """Return what the guest says of itself; the agent is put there where it is not, or not any more."""
        if self.path and self.agent.stays:
            with suppress(ProbeError):
                return self._facts_again()
        self.deploy()
        return self.facts()

    def deploy(self) -> None:
        """Put the agent into a directory of its own, readable by this user only: Python's, or else ping's."""
        self._hang_up()
        with self._kept.use() as remote:
            done = remote.run(_DEPLOY.format(id=secrets.token_hex(8), room=ROOM_KB), ASK_S)
            if done.code != 0:
                raise self.failed("has no place for the agent", done)
            # A login script may have said things first.
            *_, self.path, kind, sudo, program = done.out.decode().splitlines()
            self.agent = agent_for(kind, sudo, program)
            place = shlex.quote(f"{self.path}/{self.agent.file}")
            done = remote.run(f"umask 077; cat > {place}", ASK_S, stdin=self.agent.content())
            if done.code != 0:
                raise self.failed("can't keep the agent", done)

    def next_task(self) -> str:
        """Return where the next trial's files go, without their endings."""
        self._tasks += 1
        return f"{self.path}/probe-{self._tasks}" if self.agent.stays else f"{self.path}/probe"

    def _facts_again(self) -> GuestFacts:
        """Ask, and once more on a new connection where the one from before had broken unnoticed."""
        try:
            return self.facts(KEPT_S)
        except RemoteError:
            return self.facts()

    def facts(self, timeout_s: float = ASK_S) -> GuestFacts:
        """Return what the guest says of itself."""
        done = self.ask("facts", timeout_s=timeout_s)
        if done.code != 0:
            raise self.failed("can't run the agent", done)
        try:
            return GuestFacts(**json.loads(done.out.splitlines()[-1]))
        except (IndexError, TypeError, ValueError) as error:
            raise self.failed("gave no facts but", done) from error

    def put(self, path: str, content: bytes) -> Completed:
        """Write a file in the agent's directory."""
        if self.agent.stays:
            return self.ask("put", path, content.decode())
        with self._kept.use() as remote:
            return remote.run(f"umask 077; cat > {shlex.quote(path)}", ASK_S, stdin=content)

    def ask(self, *arguments: str, timeout_s: float = ASK_S) -> Completed:
        """Have the agent carry a command out; return its exit code and its words."""
        with self._kept.use() as remote:
            if not self.agent.stays:
                return remote.run(self.command(*arguments), timeout_s)
            try:
                answer = self.talk(remote, timeout_s).ask(json.dumps(arguments).encode(), timeout_s)
            except CommandFailed as error:
                self._hang_up()
                return Completed(1, b"", str(error).encode())
            code, words = json.loads(answer)
            return Completed(code, words.encode(), b"")

    def clock_answers(self, count: int) -> list[tuple[int, int, bytes]]:
        """Ask for the guest's clock; see ``Remote.exchange``."""
        with self._kept.use() as remote:
            if not self.agent.stays:
                return remote.exchange(self.command("clock"), count, CLOCK_S)
            return self.talk(remote, ASK_S).exchange(count, CLOCK_S)

    def talk(self, remote: Remote, timeout_s: float) -> Talk:
        """Return the agent's process on this connection, started if it does not run there yet."""
        with self._turn:
            if self._talk is None or self._talk.remote is not remote:
                talk = remote.talk(self.command("talk"), timeout_s)
                talk.skip_to(b"talking", timeout_s)  # a login script may have said things first
                self._talk = talk
            return self._talk

    def command(self, *arguments: str) -> str:
        """Return the shell's command line that runs the agent with ``arguments``."""
        return shlex.join([*self.agent.command, f"{self.path}/{self.agent.file}", *arguments])

    def remove(self) -> None:
        """Stop whatever still runs and delete all that was put into the guest, its logs too; nothing there is fine."""
        if not self.path:
            return
        with self._kept.use() as remote:
            done = remote.run(f"[ ! -e {shlex.quote(self.path)} ] || {self.command('remove', self.path)}", ASK_S)
        if done.code != 0:
            raise self.failed(f"still has {self.path}", done)
        self.path = ""
        self._hang_up()

    def leave(self) -> None:
        """Drop the connection; what is in the guest stays there."""
        self._hang_up()
        self._kept.close()

    def failed(self, what: str, done: Completed) -> ProbeError:
        """Return the error that says what the guest can't, in its own words."""
        said = (done.out + done.err).decode(errors="replace").strip()
        return ProbeError(f"guest {self.guest.name} {what}: {said or f'exit code {done.code}'}")

    def _hang_up(self) -> None:
        """Forget the agent's process on the connection: the next question starts another."""
        with self._turn:
            self._talk = None
