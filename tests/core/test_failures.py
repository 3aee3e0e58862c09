"""Why an ingress probe failed: each reason from exactly what the log says, and from nothing else."""

import pytest

from tests.core.logs import MS, START, end, header, line, record, stream
from vrbench.core.log.failures import Failure, count_failures
from vrbench.core.log.log_file import LogFile
from vrbench.core.log.rawlog import RecordKind, Refusal
from vrbench.core.model import Direction, Stream

CONNECTED, GREETED = (RecordKind.CONNECTED, 1, 0), (RecordKind.GREETED, 5, 0)
LATE = 900


def reasons(layer: str, *steps: tuple[RecordKind, int, int], end_ms: int = 5000) -> dict[Failure, int]:
    """Return the failures of one slot with those steps (kind, ms after the send, detail)."""
    probed = ingress(layer)
    body = record(RecordKind.SENT, 0, START)
    body += b"".join(record(kind, 0, START + ms * MS, detail=detail) for kind, ms, detail in steps)
    return dict(
        count_failures(LogFile.read(header(probed) + body + record(RecordKind.END, 0, START + end_ms * MS)), 0.8)[
            probed
        ]
    )


def ingress(layer: str) -> Stream:
    """Return a stream on that layer."""
    return Stream("s", Direction.INGRESS, "ssh-ingress", layer, "198.51.100.11:22", 0.1)


@pytest.mark.parametrize(
    ("layer", "steps", "why"),
    [
        ("syn", [], Failure.SILENCE),
        ("syn", [(RecordKind.REPLY, LATE, 0)], Failure.CONNECTED_LATE),
        ("syn", [(RecordKind.REFUSED, 1, Refusal.RST)], Failure.RESET),
        ("syn", [(RecordKind.REFUSED, 1, 0x030D)], Failure.UNREACHABLE),
        ("banner", [], Failure.SILENCE),
        ("banner", [(RecordKind.REFUSED, 1, Refusal.RST)], Failure.RESET),
        ("banner", [CONNECTED, (RecordKind.REFUSED, 2, Refusal.CLOSED)], Failure.CLOSED),
        ("banner", [CONNECTED, (RecordKind.REFUSED, 2, Refusal.CUT)], Failure.CLOSED),
        ("banner", [CONNECTED, (RecordKind.REFUSED, 2, Refusal.NOT_SSH)], Failure.NOT_SSH),
        ("banner", [CONNECTED], Failure.BANNER_MISSING),
        ("banner", [CONNECTED, (RecordKind.REPLY, LATE, 0)], Failure.BANNER_LATE),
        ("banner", [CONNECTED, (RecordKind.REFUSED, LATE, Refusal.CLOSED)], Failure.BANNER_MISSING),
        ("auth", [(RecordKind.CONNECTED, LATE, 0)], Failure.CONNECTED_LATE),
        ("auth", [CONNECTED], Failure.BANNER_MISSING),
        ("auth", [CONNECTED, (RecordKind.GREETED, LATE, 0)], Failure.BANNER_LATE),
        ("auth", [CONNECTED, (RecordKind.GREETED, LATE, 0), (RecordKind.REPLY, LATE + 50, 0)], Failure.BANNER_LATE),
        ("auth", [CONNECTED, GREETED], Failure.LOGIN_MISSING),
        ("auth", [CONNECTED, GREETED, (RecordKind.REPLY, LATE, 0)], Failure.LOGIN_LATE),
        ("auth", [CONNECTED, GREETED, (RecordKind.REFUSED, 9, Refusal.LOGIN)], Failure.LOGIN_REFUSED),
        ("auth", [CONNECTED, GREETED, (RecordKind.REFUSED, 9, Refusal.HOST_KEY)], Failure.HOST_KEY_CHANGED),
        ("auth", [CONNECTED, GREETED, (RecordKind.REFUSED, 9, Refusal.BROKEN_OFF)], Failure.BROKEN_OFF),
    ],
)
def test_reason(layer: str, steps: list[tuple[RecordKind, int, int]], why: Failure) -> None:
    """One slot, one reason."""
    assert reasons(layer, *steps) == {why: 1}


@pytest.mark.parametrize(
    ("layer", "steps"),
    [
        ("syn", [(RecordKind.REPLY, 1, 0)]),
        ("banner", [CONNECTED, (RecordKind.REPLY, 2, 0)]),
        ("auth", [CONNECTED, GREETED, (RecordKind.REPLY, 60, 0)]),
        ("banner", [CONNECTED, (RecordKind.AMBIGUOUS, LATE, 0)]),
    ],
)
def test_no_failure(layer: str, steps: list[tuple[RecordKind, int, int]]) -> None:
    """An answer in time, and one of which nobody can say when it came."""
    assert reasons(layer, *steps) == {}


def test_a_send_that_took_long_gives_its_answer_as_much_more_time() -> None:
    """Only what certainly came too late has failed."""
    late = (RecordKind.REPLY, LATE, 0)
    assert reasons("syn", (RecordKind.SENT_BY, LATE - 801, 0), late) == {Failure.CONNECTED_LATE: 1}
    assert reasons("syn", (RecordKind.SENT_BY, LATE - 800, 0), late) == {}


def test_a_probe_under_way_has_not_failed() -> None:
    """Its answer could still have come when the log ended."""
    assert reasons("banner", CONNECTED, end_ms=700) == {}


def test_what_failed_before_the_request_is_left_out() -> None:
    """Only slots sent since a moment are counted, and only those of ingress."""
    log = header(ingress("syn"), stream("e")) + line("LLLRR") + line("LLLLL", 1) + end(5)
    assert count_failures(LogFile.read(log, START + 100 * MS), 0.8) == {ingress("syn"): {Failure.SILENCE: 2}}
