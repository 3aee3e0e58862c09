"""The agent inside one guest, as the harness handles it: deploy, start, follow, collect, remove.

The SSH connection crosses the very router that is restarted, so nothing here relies on one living long: the agent runs
detached and writes in the guest, and the follower fetches what is new over one connection after another.
"""

from __future__ import annotations

import json
import random
import secrets
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vrbench.core.model import Guest
from vrbench.probes.config import PhasedStream, ProbeError
from vrbench.probes.guest_agents import PingAgent, PingCopy, PythonAgent, RawCopy, Task, agent_for
from vrbench.probes.prober_process import ends_in_order
from vrbench.probes.readiness import FIND_PING, FIND_PYTHON
from vrbench.remote.connection import Completed, Remote
from vrbench.remote.errors import CommandFailed, RemoteError

IDLE_S = 3.0  # an agent logs at least once a second: after this long the connection is given up
CLOCK_EXCHANGES = 15

# Makes the agent's directory and looks for what can run an agent; prints the directory, what was found, how to get the
# right to raw sockets (empty where there is no need or no way), and the program.
_DEPLOY = (
    """
umask 077
d=/tmp/vrbench-{id}; mkdir "$d" 2>/dev/null || {{ d=$HOME/.vrbench-{id}; mkdir "$d" || exit 1; }}
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
class ClockOffset:
    """The guest's monotonic clock minus the harness's, and how far that may be off (half the fastest round trip)."""

    offset_ns: int
    error_ns: int


@dataclass(frozen=True, slots=True)
class GuestFacts:
    """What a guest says of itself; another ``boot_id`` means another monotonic clock; ``python`` may be empty."""

    boot_id: str
    python: str
    kernel: str
    monotonic_ns: int
    wall_ns: int
    gateway: str


class GuestAgent:
    """The agent of one guest and one trial; ``connect`` opens a new connection to the guest.

    Methods raise RemoteError when the guest can't be reached and ProbeError when the agent can't do its work.
    """

    def __init__(self, guest: Guest, connect: Callable[[], Remote], local_log: Path) -> None:
        self.guest, self.local_log = guest, local_log
        self._connect = connect
        self._home = ""
        self._agent: PythonAgent | PingAgent = PythonAgent(())
        self._copy: RawCopy | PingCopy = RawCopy(local_log)
        self._ended_early = ""
        self._done = threading.Event()
        self._follower: threading.Thread | None = None
        self._open: Remote | None = None

    @contextmanager
    def one_connection(self) -> Iterator[None]:
        """Ask the guest over one connection within the block, instead of one each."""
        with self._connect() as self._open:
            try:
                yield
            finally:
                self._open = None

    @property
    def place(self) -> str:
        """Where the agent writes in the guest; empty before ``deploy`` and after ``remove``."""
        return self._path("probe.log") if self._home else ""

    def deploy(self) -> None:
        """Put the agent into a directory of its own, readable by this user only: Python's, or else ping's."""
        with self._connection() as remote:
            done = remote.run(_DEPLOY.format(id=secrets.token_hex(8)))
            if done.code != 0:
                raise self._failed("has no place for the agent", done)
            # A login script may have said things first.
            *_, self._home, kind, sudo, program = done.out.decode().splitlines()
            self._agent = agent_for(kind, sudo, program)
            place = shlex.quote(self._path(self._agent.file))
            done = remote.run(f"umask 077; cat > {place}", stdin=self._agent.content())
            if done.code != 0:
                raise self._failed("can't keep the agent", done)

    def facts(self) -> GuestFacts:
        """Return what the guest says of itself."""
        with self._connection() as remote:
            done = remote.run(self._command("facts"))
        if done.code != 0:
            raise self._failed("can't run the agent", done)
        try:
            return GuestFacts(**json.loads(done.out.splitlines()[-1]))
        except (IndexError, TypeError, ValueError) as error:
            raise self._failed("gave no facts but", done) from error

    def claimants(self) -> tuple[str, ...]:
        """Return the MAC addresses that answer for the guest's gateway; none without Python or the right to ask."""
        if not isinstance(self._agent, PythonAgent):
            return ()
        with self._connection() as remote:
            done = remote.run(self._command("claims"))
        return tuple(done.out.decode().split()) if done.code == 0 else ()

    def measure_clock(self) -> ClockOffset:
        """Measure the offset between the two monotonic clocks, from the fastest of 15 exchanges."""
        with self._connection() as remote:
            answers = remote.exchange(self._command("clock"), CLOCK_EXCHANGES, timeout_s=10.0)
        sent, received, clock = min(answers, key=lambda answer: answer[1] - answer[0])
        half_tick_ns = self._agent.tick_ns // 2
        try:
            guest_ns = int(clock) + half_tick_ns
            return ClockOffset(guest_ns - (sent + received) // 2, (received - sent + 1) // 2 + half_tick_ns)
        except ValueError as error:
            raise ProbeError(f"guest {self.guest.name} tells no time but {clock[:80]!r}") from error

    def start(self, streams: Sequence[PhasedStream], max_s: float, lane: tuple[int, int] = (0, 1)) -> None:
        """Start probing, detached; returns when the first probe is out. It ends by itself after ``max_s``.

        ``lane`` is this guest's number and the number of guests behind its router: they must not share ICMP ids.
        """
        task = Task(self.guest.name, tuple(streams), max_s, lane)
        place = self._path("probe.conf")
        script = f"umask 077; cat > {place} && {self._command('start', place)}"
        with self._connection() as remote:

            def ask(arguments: Sequence[str], timeout_s: float) -> Completed:
                return remote.run(self._command(*arguments), timeout_s)

            config, self._copy = self._agent.prepare(task, self._home, self.local_log, ask)
            done = remote.run(script, stdin=config)
        if done.code != 0:
            raise self._failed("can't probe", done)

    def silence(self, streams: Sequence[str], seconds: float) -> bool:
        """Have the agent leave streams silent for so long, by their names; returns whether it can, and will."""
        if not isinstance(self._agent, PythonAgent):
            return False
        with self._connection() as remote:
            done = remote.run(self._command("silence", self._path("probe.conf"), f"{seconds:g}", *streams))
        return done.code == 0

    def follow(self) -> None:
        """Keep ``local_log`` up to date in the background from now on, whatever happens to the connection."""
        self._ended_early = ""
        self._follower = threading.Thread(target=self._follow, name=f"follow {self.guest.name}", daemon=True)
        self._follower.start()

    def finish(self, deadline_s: float = 30.0) -> None:
        """Stop the agent and fetch the rest; ProbeError when the local log stays without its end.

        May be called again after a ProbeError: following goes on until ``leave`` or ``remove``.
        """
        if ends_in_order(self.local_log):
            return
        end = time.monotonic() + deadline_s
        if self._follower is None or not self._follower.is_alive():  # it may have given up too early
            self.follow()
        assert self._follower is not None
        problem = self._stop(end)
        self._follower.join(max(0.0, end - time.monotonic()))
        if not ends_in_order(self.local_log):
            reason = problem or self._ended_early or f"the rest did not arrive within {deadline_s:g} s"
            raise ProbeError(f"guest {self.guest.name}: its samples end early: {reason}; what arrived is kept")

    def leave(self) -> None:
        """Follow no longer, so that the local log stays as it is; what is in the guest stays there."""
        self._done.set()

    def remove(self) -> None:
        """Stop whatever still runs and delete all that was put into the guest, its log too; nothing there is fine."""
        self.leave()
        if not self._home:
            return
        with self._connect() as remote:
            done = remote.run(f"[ ! -e {shlex.quote(self._home)} ] || {self._command('remove', self._home)}")
        if done.code != 0:
            raise self._failed(f"still has {self._home}", done)
        self._home = ""

    def _stop(self, end: float) -> str:
        """End the agent in good order, trying until ``end``; returns what stood in the way, empty for nothing."""
        while True:
            try:
                with self._connect() as remote:
                    done = remote.run(self._command("stop", self._path("probe.conf")))
                return done.err.decode(errors="replace").strip() if done.code else ""
            except RemoteError as error:
                if time.monotonic() + 1 > end:
                    return str(error)
                time.sleep(random.uniform(0.5, 1.0))

    def _follow(self) -> None:
        while not self._done.is_set():
            try:
                self._fetch()
            except CommandFailed:
                self._ended_early = "the agent died, perhaps with a reboot of the guest"
                return
            except OSError as error:
                self._ended_early = f"can't write {self.local_log}: {error.strerror}"
                return
            except RemoteError:
                pass  # the router is away, as expected: we try again
            if ends_in_order(self.local_log):
                return
            self._done.wait(random.uniform(0.5, 1.0))

    def _fetch(self) -> None:
        """Append to the local log what the guest has beyond it, until the guest or the connection ends."""
        with self._connect() as remote:
            following = self._command("follow", self._path("probe.log"), str(self._copy.fetched()))
            for chunk in remote.stream(following, IDLE_S):
                if self._done.is_set():
                    return
                self._copy.append(chunk)

    @contextmanager
    def _connection(self) -> Iterator[Remote]:
        if self._open is not None:
            yield self._open
        else:
            with self._connect() as remote:
                yield remote

    def _path(self, name: str) -> str:
        return f"{self._home}/{name}"

    def _command(self, *arguments: str) -> str:
        return shlex.join([*self._agent.command, self._path(self._agent.file), *arguments])

    def _failed(self, what: str, done: Completed) -> ProbeError:
        said = (done.out + done.err).decode(errors="replace").strip()
        return ProbeError(f"guest {self.guest.name} {what}: {said or f'exit code {done.code}'}")
