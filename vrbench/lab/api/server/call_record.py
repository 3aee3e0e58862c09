"""The server's own record of the calls that could have changed something, for those who rehearse on the lab."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from vrbench.lab.api.faults.api_faults import Answer
from vrbench.lab.api.request.responses import Reply
from vrbench.lab.api.server.post_only import LOOKS

CHANGE_NOTHING = ("", "login", "logout", "configuresimulator")  # of the zone, beside what looks


class CallRecord:
    """Passes calls on, and notes each that does more than look: its command, and the status of its answer.

    It stands before the faults: a call that was refused or reset by one has reached the server all the same.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self._noted: list[dict[str, Any]] = []

    def __call__(self, method: str, sent: Sequence[tuple[str, str]], cookies: Mapping[str, str]) -> Reply:
        command = next((value for name, value in reversed(sent) if name.lower() == "command"), "")
        reply = self._answer(method, sent, cookies)
        if not LOOKS.fullmatch(command) and command.lower() not in CHANGE_NOTHING:
            with self._lock:
                self._noted.append({"command": command, "status": reply.status})
        return reply

    def since(self, number: int) -> list[dict[str, Any]]:
        """Return the calls after the first ``number``, in the order of their answers."""
        with self._lock:
            return self._noted[number:]
