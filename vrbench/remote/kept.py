"""One SSH connection that is kept for as long as it lives, and made anew when it is needed again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vrbench.remote.connection import Remote
from vrbench.remote.errors import CommandFailed, RemoteError


class KeptConnection:
    """The connection to one machine, which threads share; ``connect`` opens a new one."""

    def __init__(self, connect: Callable[[], Remote]) -> None:
        self._connect = connect
        self._remote: Remote | None = None
        self._turn = threading.Lock()  # one opens it, and the others wait for that one

    @contextmanager
    def use(self) -> Iterator[Remote]:
        """Lend the connection; it is given up when what is done with it fails by its fault. Raises RemoteError."""
        remote = self._opened()
        try:
            yield remote
        except CommandFailed:
            raise
        except RemoteError:
            remote.close()
            raise

    def close(self) -> None:
        """Drop the connection; the next use opens another."""
        with self._turn:
            if self._remote is not None:
                self._remote.close()

    def _opened(self) -> Remote:
        with self._turn:
            if self._remote is None or not self._remote.is_open():
                self._remote = self._connect()
            return self._remote
