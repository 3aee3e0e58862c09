"""SSH to guests, as small as the harness needs it: run, stream, exchange."""

from __future__ import annotations

import errno
import logging
import shlex
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from types import TracebackType

import paramiko

from vrbench.remote.errors import CommandFailed, NotCarriedOut, RemoteError
from vrbench.remote.identity import Address, Identity
from vrbench.remote.login import blamed, logged_in
from vrbench.remote.shell import after_mark, for_any_shell

# Every failure reaches the caller as a RemoteError; paramiko would print each one with a traceback as well.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Completed:
    """What a remote command left: its exit code (-1: killed by a signal) and its output."""

    code: int
    out: bytes
    err: bytes


class Remote:
    """One SSH connection; a context manager. Threads may share it, each with its own commands.

    Every failure is a RemoteError.
    """

    def __init__(self, transport: paramiko.Transport, name: str) -> None:
        self._transport = transport
        self.name = name

    @classmethod
    def connect(cls, address: Address, identity: Identity, timeout_s: float = 10.0) -> Remote:
        """Connect and log in with the key alone (no agent, no other keys); each step may take ``timeout_s``."""
        with blamed(identity.at(address)):
            sock = socket.create_connection(address, timeout_s)
        return cls.over(sock, address, identity, timeout_s)

    @classmethod
    def over(cls, sock: socket.socket, address: Address, identity: Identity, timeout_s: float) -> Remote:
        """Log in over a connection to ``address`` that stands already; close it when that fails.

        Raises NoAnswer, LoginRefused and HostKeyChanged apart from other RemoteErrors.
        """
        try:
            with blamed(identity.at(address)):
                return cls(logged_in(sock, address, identity, timeout_s), identity.at(address))
        except BaseException:
            sock.close()
            raise

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection; never fails, never waits for the peer."""
        self._transport.close()

    def is_open(self) -> bool:
        """Return whether neither end has closed it, as far as is known here."""
        return self._transport.is_active()

    def run(self, command: str | Sequence[str], timeout_s: float = 30.0, stdin: bytes = b"") -> Completed:
        """Run ``command`` (a list is quoted for the shell) to its end; output is meant to be small (< 2 MB each)."""
        with blamed(self.name), self._execute(command, timeout_s) as channel:
            end = time.monotonic() + timeout_s
            channel.sendall(stdin)
            channel.shutdown_write()
            out = _read_all(channel, end)
            channel.settimeout(max(0.01, end - time.monotonic()))
            err = channel.makefile_stderr("rb").read()
            code, said = self._exit_code(channel, max(0.01, end - time.monotonic())), after_mark(out)
            if said is None:
                raise NotCarriedOut(self.name, code, out + err)
            return Completed(code, said, err)

    def stream(self, command: str | Sequence[str], idle_s: float, first_s: float = 0.0) -> Iterator[bytes]:
        """Yield the command's output as it comes. Raises RemoteError when nothing comes for ``idle_s``.

        Before the first of it, ``first_s`` are waited, where that is more: a command takes its time to start.
        Raises CommandFailed when it ends with an exit code other than 0.
        """
        with blamed(self.name), self._execute(command, max(first_s, idle_s)) as channel:
            heard: bytes | None = b""
            while chunk := channel.recv(1 << 16):
                channel.settimeout(idle_s)
                if heard is not None:  # what the login said, so far
                    said = after_mark(heard + chunk)
                    heard, chunk = (heard + chunk, b"") if said is None else (None, said)
                if chunk:
                    yield chunk
            code = self._exit_code(channel, idle_s)
            if code > 0:
                raise CommandFailed(f"{self.name}: the command ended with exit code {code}")
            if code < 0:
                raise RemoteError(f"{self.name}: the command was killed before its end: is the guest out of memory?")

    def _exit_code(self, channel: paramiko.Channel, timeout_s: float) -> int:
        """Return the exit code, -1 after a signal. Raises OSError when the connection broke before it came."""
        if not channel.status_event.wait(timeout_s):
            raise TimeoutError
        if channel.exit_status < 0 and not self._transport.is_active():
            raise ConnectionResetError("connection lost")
        return channel.exit_status

    def exchange(self, command: str | Sequence[str], lines: int, timeout_s: float) -> list[tuple[int, int, bytes]]:
        """Send ``lines`` empty lines to the command, each after the answer to the one before.

        Return (sent_ns, received_ns, answer) of each, times on this machine's monotonic clock.
        """
        with blamed(self.name), self._execute(command, timeout_s) as channel:
            return Talk(self, channel).exchange(lines, timeout_s)

    def attach(self, command: str, timeout_s: float) -> Attached:
        """Start ``command`` and leave it running, to talk with it; it ends with this connection at the latest."""
        with blamed(self.name):
            channel = self._transport.open_session(timeout=timeout_s)
            channel.settimeout(timeout_s)
            channel.exec_command(command)
            return Attached(self._transport, channel)

    def talk(self, command: str, timeout_s: float = 10.0) -> Talk:
        """Start ``command``, which answers each line with a line; it ends with this connection at the latest."""
        with blamed(self.name):
            channel = self._transport.open_session(timeout=timeout_s)
            channel.exec_command(for_any_shell(command))
            return Talk(self, channel)

    @contextmanager
    def _execute(self, command: str | Sequence[str], timeout_s: float) -> Iterator[paramiko.Channel]:
        channel = self._transport.open_session(timeout=timeout_s)
        try:
            channel.settimeout(timeout_s)
            channel.exec_command(for_any_shell(command if isinstance(command, str) else shlex.join(command)))
            yield channel
        finally:
            channel.close()


class Talk:
    """A running command that answers each line with a line. Threads may share it: they ask one after another."""

    def __init__(self, remote: Remote, channel: paramiko.Channel) -> None:
        self.remote = remote
        self._channel = channel
        self._heard = b""
        self._begun = False
        self._turn = threading.Lock()
        self._in_step = True

    def ask(self, line: bytes, timeout_s: float) -> bytes:
        """Return the answer to ``line``. Raises CommandFailed, with what it said, when the command has ended.

        After any failure it answers no more: an answer that came late would be taken for that of the next line.
        """
        with self._turn, blamed(self.remote.name):
            if not self._in_step:
                raise RemoteError(f"{self.remote.name}: an answer is missing: ask anew, over another connection")
            end, self._in_step = time.monotonic() + timeout_s, False
            with suppress(OSError):  # the command has ended, as the next lines find out
                self._channel.sendall(line + b"\n")
            answer = self._line(end)
            self._in_step = True
            return answer

    def skip_to(self, words: bytes, timeout_s: float) -> None:
        """Pass over all lines until one says ``words``. Raises CommandFailed when the command ends before."""
        with self._turn, blamed(self.remote.name):
            end = time.monotonic() + timeout_s
            while self._line(end) != words:
                pass

    def _line(self, end: float) -> bytes:
        """Return the next line that the command says, before ``end``."""
        while not self._begun:  # so far the login speaks
            said = after_mark(self._heard)
            if said is None:
                self._hear(end)
            else:
                self._begun, self._heard = True, said
        while b"\n" not in self._heard:
            self._hear(end)
        line, _, self._heard = self._heard.partition(b"\n")
        return line

    def _hear(self, end: float) -> None:
        self._channel.settimeout(max(0.01, end - time.monotonic()))
        part = self._channel.recv(1 << 16)
        if not part:
            raise self._ended()
        self._heard += part

    def exchange(self, lines: int, timeout_s: float) -> list[tuple[int, int, bytes]]:
        """Ask empty lines; return (sent_ns, received_ns, answer) of each, times on this machine's monotonic clock."""
        answers = []
        for _ in range(lines):
            sent_ns = time.monotonic_ns()
            answer = self.ask(b"", timeout_s)
            answers.append((sent_ns, time.monotonic_ns(), answer))
        return answers

    def _ended(self) -> Exception:
        if not self._channel.eof_received:  # whether the connection is known to be lost by now is a matter of luck
            return ConnectionResetError("connection lost")
        said = self._channel.makefile_stderr("rb").read().decode(errors="replace").strip()
        return CommandFailed(said or "the command ended without a word")


class End(Enum):
    """How an attached command's connection ended."""

    RESET = "reset"
    CLOSED = "closed by its far end"
    GIVEN_UP = "given up by this machine's TCP"


class Attached:
    """A running command's standard input and output, for one thread, without waiting.

    ``fileno`` is readable (for select and its kin, not for read) when output is there or the end has come.
    """

    def __init__(self, transport: paramiko.Transport, channel: paramiko.Channel) -> None:
        self._transport, self._channel = transport, channel
        self._fd = channel.fileno()

    def fileno(self) -> int:
        return self._fd

    def send(self, data: bytes) -> None:
        """Hand ``data`` to the connection; what the far end no longer takes is dropped, and ``end`` says why.

        May wait once the kernel holds some ten kilobytes that nobody has acknowledged: don't send more than that.
        """
        with suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.sendall(data)

    def receive(self) -> bytes:
        """Return all output that is there."""
        parts = []
        while self._channel.recv_ready():
            parts.append(self._channel.recv(1 << 16))
        return b"".join(parts)

    def end(self) -> End | None:
        """Return how it ended; None while it goes on."""
        if self._transport.is_active() and not (self._channel.closed or self._channel.eof_received):
            return None
        error = self._transport.get_exception()
        number = error.errno if isinstance(error, OSError) else None
        return {errno.ECONNRESET: End.RESET, errno.EPIPE: End.RESET, errno.ETIMEDOUT: End.GIVEN_UP}.get(
            number or 0, End.CLOSED
        )


def _read_all(channel: paramiko.Channel, end: float) -> bytes:
    """Read standard output to its end. Raises TimeoutError when that is not before ``end`` (monotonic seconds)."""
    chunks: list[bytes] = []
    while True:
        channel.settimeout(max(0.01, end - time.monotonic()))
        chunk = channel.recv(1 << 16)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
