"""What stands between vrbench and the lab's API in a campaign: honest, but for the calls at which a trap is set."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.cloud.server import Request, reset, serving
from vrbench.lab import lifecycle

# Made inside the outside world of the lab, and served from here: a socket stays where it was made.
LISTEN = (
    "import socket, sys; made = socket.create_server(('127.0.0.1', 0)); "
    "socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b'x'], [made.fileno()])"
)


@dataclass(frozen=True)
class Reply:
    """What the lab's API answered."""

    status: int
    content_type: str
    body: str


Act = Callable[["Front", Request], None]


@dataclass
class Trap:
    """Some calls that go wrong: of those that ``of`` takes in, the ``first``, and so many in all."""

    of: Callable[[str], bool]
    first: int
    times: int
    act: Act
    met: int = 0

    def springs(self, command: str) -> bool:
        """Count this call, and return whether it is one of them."""
        self.met += self.of(command)
        return self.of(command) and self.first <= self.met < self.first + self.times


@dataclass
class Front:
    """Passes calls on, and springs its traps. ``signal`` reaches the vrbench that calls; ``seen`` hears of each, and
    ``take`` has another acquire an address that was just released."""

    target: str
    endpoint: str
    traps: list[Trap] = field(default_factory=list)
    sprung: list[str] = field(default_factory=list)  # the commands that went wrong
    commands: list[str] = field(default_factory=list)
    signal: Callable[[int], None] = lambda _number: None
    seen: Callable[[Request, Reply], None] = lambda _request, _reply: None
    take: Callable[[str], None] = lambda _address: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, *traps: Trap) -> None:
        """Forget what was, and set these traps."""
        with self._lock:
            self.traps, self.sprung, self.commands = list(traps), [], []

    def behave(self, request: Request) -> None:
        """Answer one request."""
        command = request.params.get("command", "")
        with self._lock:
            self.commands.append(command)
            springing = [trap for trap in self.traps if trap.springs(command)]
            self.sprung += [command] * len(springing[:1])
        (springing[0].act if springing else Front.honest)(self, request)

    def honest(self, request: Request) -> None:
        """Pass the call on, and its answer back."""
        self.answer(request, self.carry_out(request))

    def answer(self, request: Request, reply: Reply | None) -> None:
        """Give the lab's answer; without one the connection is reset, as the lab's was."""
        if reply is None:
            reset(request)
        else:
            request.answer(reply.body, reply.status, reply.content_type)

    def carry_out(self, request: Request) -> Reply | None:
        """Have the call done; None when the lab gave no answer."""
        to = urlsplit(self.target)
        connection = http.client.HTTPConnection(to.hostname or "", to.port or 80, timeout=60)
        try:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", to.path, request.form, headers)
            got = connection.getresponse()
            reply = Reply(got.status, got.headers.get("Content-Type", ""), got.read().decode())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        self.seen(request, reply)
        return reply


@contextmanager
def running_front(state: Path, target: str) -> Iterator[Front]:
    """Stand before the API of the lab in ``state``, inside its outside world, until the block ends."""
    with _listener(state) as listener:
        front = Front(target, f"http://127.0.0.1:{listener.getsockname()[1]}/client/api")
        with serving(listener, front.behave):
            yield front


@contextmanager
def _listener(state: Path) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-c", LISTEN, str(theirs.fileno())]
        subprocess.run(lifecycle.enter(state, "upstream", command), pass_fds=[theirs.fileno()], check=True)
        _, [fd], _, _ = socket.recv_fds(ours, 1, 1)
    with socket.socket(fileno=fd) as listener:
        yield listener
