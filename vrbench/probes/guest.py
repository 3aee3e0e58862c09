"""The prober of one trial inside one guest, as the harness handles it: start, follow, collect, clear.

The SSH connection crosses the very router that is restarted, so nothing here relies on one living long: the prober runs
detached and writes in the guest, and the follower fetches what is new over one connection after another.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vrbench.probes.agent_home import AgentHome
from vrbench.probes.config import PhasedStream, ProbeError
from vrbench.probes.guest_agents import PingCopy, RawCopy, Task
from vrbench.probes.prober_process import ends_in_order
from vrbench.remote.connection import Completed
from vrbench.remote.errors import CommandFailed, RemoteError

IDLE_S = 3.0  # an agent logs at least once a second: after this long the connection is given up
FIRST_S = 30.0  # the longest that a slow guest's first words are waited for
CLOCK_EXCHANGES = 15
STOP_S = 10.0  # what a prober's end may take; after this long the connection is given up


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """The guest's monotonic clock minus the harness's, and how far that may be off (half the fastest round trip)."""

    offset_ns: int
    error_ns: int


class GuestAgent:
    """The prober of one trial in one guest, which lives in the agent's ``home`` there.

    Methods raise RemoteError when the guest can't be reached and ProbeError when the agent can't do its work.
    """

    def __init__(self, home: AgentHome, local_log: Path) -> None:
        self.home, self.guest, self.local_log = home, home.guest, local_log
        self._files = ""
        self._copy: RawCopy | PingCopy = RawCopy(local_log)
        self._claims: str | None = None
        self._ended_early = ""
        self._first_s = IDLE_S  # how long the next follower's first words are waited for
        self._done = threading.Event()
        self._follower: threading.Thread | None = None

    @property
    def place(self) -> str:
        """Where the prober writes in the guest; empty before ``start`` and after ``clear``."""
        return f"{self._files}.log" if self._files else ""

    def claimants(self) -> tuple[str, ...]:
        """Return the MAC addresses that answer for the guest's gateway; none without Python or the right to ask."""
        if self._claims is None and self.home.agent.stays:
            done = self.home.ask("claims")
            self._claims = done.out.decode() if done.code == 0 else ""
        return tuple((self._claims or "").split())

    def measure_clock(self) -> ClockOffset:
        """Measure the offset between the two monotonic clocks, from the fastest of 15 exchanges."""
        answers = self.home.clock_answers(CLOCK_EXCHANGES)
        sent, received, clock = min(answers, key=lambda answer: answer[1] - answer[0])
        half_tick_ns = self.home.agent.tick_ns // 2
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
        self._files = self.home.next_task()

        def ask(arguments: Sequence[str], timeout_s: float) -> Completed:
            return self.home.ask(*arguments, timeout_s=timeout_s)

        config, self._copy = self.home.agent.prepare(task, self.place, self.local_log, ask)
        done = self.home.put(self._config, config)
        if done.code == 0:
            done = self.home.ask("start", self._config)
        if done.code != 0:
            raise self.home.failed("can't probe", done)

    def silence(self, streams: Sequence[str], seconds: float) -> bool:
        """Have the agent leave streams silent for so long, by their names; returns whether it can, and will."""
        if not self.home.agent.stays:
            return False
        return self.home.ask("silence", self._config, f"{seconds:g}", *streams).code == 0

    def follow(self) -> None:
        """Keep ``local_log`` up to date in the background from now on, whatever happens to the connection."""
        self._ended_early = ""
        self._follower = threading.Thread(target=self._follow, name=f"follow {self.guest.name}", daemon=True)
        self._follower.start()

    def finish(self, deadline_s: float = 30.0) -> None:
        """Stop the agent and fetch the rest; ProbeError when the local log stays without its end.

        May be called again after a ProbeError: following goes on until ``leave`` or ``clear``.
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

    def clear(self) -> None:
        """Delete what the trial left in the guest, when all of it is here."""
        self.leave()
        if not self.home.agent.stays:
            self.home.remove()
        elif self._files and self.home.path:
            done = self.home.ask("forget", self._config)
            if done.code != 0:
                raise self.home.failed(f"still has {self.place}", done)
        self._files = ""

    def _stop(self, end: float) -> str:
        """End the prober in good order, trying until ``end``; returns what stood in the way, empty for nothing."""
        verb = "end" if self.home.agent.stays else "stop"
        while True:
            try:
                done = self.home.ask(verb, self._config, timeout_s=STOP_S)
            except RemoteError as error:
                if time.monotonic() + 1 > end:
                    return str(error)
                time.sleep(random.uniform(0.5, 1.0))
            else:
                words = (done.out + done.err).decode(errors="replace").strip()
                if done.code == 0 and self.home.agent.stays:
                    self._claims = words
                return words if done.code else ""

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
        with self.home.connection() as remote:
            following = self.home.command("follow", self.place, str(self._copy.fetched()))
            # Where none came in time, the guest may only be slow to start an interpreter: the next one gets longer.
            waited_s, self._first_s = self._first_s, min(2 * self._first_s, FIRST_S)
            for chunk in remote.stream(following, IDLE_S, waited_s):
                self._first_s = waited_s
                if self._done.is_set():
                    return
                self._copy.append(chunk)

    @property
    def _config(self) -> str:
        return f"{self._files}.conf"
