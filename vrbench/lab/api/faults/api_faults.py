"""Faults of the management server itself: late, wrong or missing answers, and jobs that fail or hang."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from vrbench.lab.api.request.responses import Reply, encode
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Json
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.zone import Zone

Answer = Callable[[str, Sequence[tuple[str, str]], Mapping[str, str]], Reply]

RESET = Reply(0, "", b"")  # no answer: the connection is reset
SPARED = (
    "configuresimulator",
    "cleanupsimulatormock",
    "querysimulatormock",
)  # who switches faults off must get through
PAGE = b"<html><head><title>%d</title></head><body><h1>Service Temporarily Unavailable</h1></body></html>"
TEXTS = {401: errors.BAD_CREDENTIALS, 429: errors.API_LIMIT}


@dataclass(frozen=True, slots=True)
class FaultyApi:
    """Answers requests as ``answer`` does, but for the faults that are on."""

    zone: Zone
    answer: Answer

    def __call__(self, method: str, sent: Sequence[tuple[str, str]], cookies: Mapping[str, str]) -> Reply:
        params = {name.lower(): value for name, value in sent}
        command = params.get("command", "")
        if command.lower() in SPARED:
            return self.answer(method, sent, cookies)
        faults = self.zone.faults
        if late := faults.take("api-delay", command):
            self.zone.pause(late.number("seconds"))
        if html := faults.take("api-html", command):
            return page(int(html.number("status")))
        if wrong := faults.take("api-error", command):
            refused = refusal(int(wrong.number("status")), command, params.get("response", "").lower() == "json")
            after = wrong.params["retry-after"]
            return replace(refused, headers=(("Retry-After", after),)) if after else refused
        if reset := faults.take("api-reset", command):
            if reset.params["done"] == "yes":
                self.answer(method, sent, cookies)
            return RESET
        return self.answer(method, sent, cookies)


def page(status: int) -> Reply:
    """Return what a proxy before the server says of it."""
    return Reply(status, "text/html; charset=UTF-8", PAGE % status)


def refusal(status: int, command: str, as_json: bool) -> Reply:
    """Return an error as the server words it; 503 comes from what stands before it."""
    if status == 503:
        return page(status)
    error = ApiError(status, TEXTS.get(status, "Internal error executing command"), None if status == 401 else 9999)
    return encode(status, f"{command.lower()}response", error.body(), as_json)


def run(zone: Zone, command: str, task: Callable[[], Json]) -> Json:
    """Do a job's work, and what the faults that are on do to it. Raises ApiError."""
    if hanging := zone.faults.take("job-hangs", command):
        zone.pause(hanging.number("seconds"))
    result = task()
    if failing := zone.faults.take("job-fails", command):
        raise ApiError(530, failing.params["text"])
    return result
