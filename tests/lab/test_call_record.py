"""The server's record of calls: each that could have changed something, however it was answered, and no other."""

from __future__ import annotations

import pytest

from vrbench.lab.api.faults.api_faults import RESET
from vrbench.lab.api.request.responses import Reply
from vrbench.lab.api.server.call_record import CallRecord

DONE, REFUSED = Reply(200, "application/json", b"{}"), Reply(429, "application/json", b"{}")


@pytest.mark.parametrize("reply", [DONE, REFUSED, RESET])
def test_a_call_is_noted_whatever_its_answer(reply: Reply) -> None:
    """A call that was refused, or whose connection was reset, has reached the server as well."""
    record = CallRecord(lambda *_: reply)
    assert record("POST", [("Command", "createNetwork"), ("name", "n")], {}) is reply
    record("GET", [("command", "deleteNetwork")], {})
    first, second = ({"command": c, "status": reply.status} for c in ("createNetwork", "deleteNetwork"))
    assert (record.since(0), record.since(1), record.since(2)) == ([first, second], [second], [])


@pytest.mark.parametrize("command", ["listZones", "queryAsyncJobResult", "login", "logout", "configureSimulator", ""])
def test_what_changes_nothing_in_the_zone_is_not_noted(command: str) -> None:
    """Looks, sessions, faults of the lab, and requests that ask for nothing."""
    record = CallRecord(lambda *_: DONE)
    record("POST", [("command", command)], {})
    assert record.since(0) == []
