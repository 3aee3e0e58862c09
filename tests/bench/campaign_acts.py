"""What can become of one call between vrbench and the API: each act is given the front, and the request to answer."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable
from random import Random

from tests.bench.campaign_front import Act, Front
from tests.bench.campaign_hasty import ANSWER_S
from tests.cloud.server import Request, page, reset
from vrbench.run.interrupts import ONE_PRESS_S

PAGES = (page(503), page(502), page(200), page(404))
DRIP_S = 0.3  # between two bytes of an answer that never ends


def before(act: Callable[[Request], None]) -> Act:
    """Answer so, with nothing done."""
    return lambda _front, request: act(request)


def after(act: Callable[[Request], None]) -> Act:
    """Answer so, once the call was carried out."""

    def acted(front: Front, request: Request) -> None:
        front.carry_out(request)
        act(request)

    return acted


def sometimes_done(*acts: Callable[[Request], None]) -> Callable[[Random], Act]:
    """Answer in one of these ways, with the call carried out or not."""
    return lambda rng: rng.choice((before, after))(rng.choice(acts))


def other_wrapper(request: Request) -> None:
    """Give an answer that is JSON and not the call's."""
    request.answer(json.dumps({"error": {"code": 503}}))


def says_body(body: str) -> Callable[[Request], None]:
    """Answer with this text; NAME stands for the command's own wrapper."""
    return lambda request: request.answer(body.replace("NAME", f"{request.params['command'].lower()}response"))


ODD = tuple(
    map(
        says_body,
        (
            "",
            "null",
            "[]",
            "{}",
            '{"NAME": null}',
            '{"NAME": []}',
            '{"NAME": "\\u001b[31m"}',
            '{"NAME": {"count": "many", "network": 7, "jobid": {}}}',
            '{"NAME": {"jobstatus": "2", "jobresult": [[[]]]}}',
            '{"NAME": ' + "[" * 20_000 + "]" * 20_000 + "}",
            '{"NAME": {"count": 1e999}}',
        ),
    )
)


def empty_list(request: Request) -> None:
    """Say that there is nothing."""
    request.answer(json.dumps({f"{request.params['command'].lower()}response": {}}))


def dribble(request: Request) -> None:
    """Give one byte after the other, as slowly as it takes to keep a reader waiting for ever."""
    request.handler.send_response(200)
    request.handler.send_header("Content-Type", "application/json")
    request.handler.send_header("Content-Length", "100000")
    request.handler.end_headers()
    with contextlib.suppress(OSError):
        while not request.released.wait(DRIP_S):
            request.handler.wfile.write(b" ")


def too_late(front: Front, request: Request) -> None:
    """Carry the call out when vrbench has given it up."""
    request.released.wait(ANSWER_S + 1.0)
    front.carry_out(request)
    reset(request)


def signalled(number: int, when: str) -> Act:
    """Send vrbench a signal ``before`` the call is carried out, or when it is ``done``."""

    def act(front: Front, request: Request) -> None:
        if when == "done":
            reply = front.carry_out(request)
            front.signal(number)
            front.answer(request, None if number == signal.SIGKILL else reply)
        else:
            front.signal(number)
            (before(reset) if number == signal.SIGKILL else Front.honest)(front, request)

    return act


def twice_interrupted(front: Front, request: Request) -> None:
    """Press Ctrl-C, and again when that was heard."""
    front.signal(signal.SIGINT)
    front.honest(request)
    time.sleep(2 * ONE_PRESS_S)
    front.signal(signal.SIGINT)


def taken(front: Front, request: Request) -> None:
    """Carry a release out, and let another have the address before vrbench, which hears nothing, asks again."""
    front.carry_out(request)
    front.take(request.params["id"])
    reset(request)
