"""CloudStack's API as plain calls: signed POST requests, typed errors, jobs that are waited for with a deadline.

The only importer of ``cs``, and only once a call is made. ``cs``'s own job waiting is not used: it gives up on one 503
page and, on some answers, never. A mutating call is sent once and never again by itself: when no answer came, it may
have run.
"""

from __future__ import annotations

import copy
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from vrbench.cloud.api.answers import Answer as Answer  # what callers of the facade call it
from vrbench.cloud.api.answers import (
    NotAnAnswer,
    Page,
    Received,
    Refused,
    accepted,
    job_result,
    made,
    page_of,
    unwrapped,
)
from vrbench.cloud.api.clock import ClockReading
from vrbench.cloud.api.job import Job as Job
from vrbench.cloud.api.no_answer import PROXY_WANTS_PASSWORD, USUAL_ADVICE, HowAsked, of_page, why_not
from vrbench.cloud.api.params import Param as Param  # what callers of the facade call it
from vrbench.cloud.api.params import as_text, mutates, names_of
from vrbench.cloud.api.patience import may_pass
from vrbench.cloud.api.shown import Shown
from vrbench.cloud.api.turned_away import Repeats, WhenTurnedAway, is_turned_away, told
from vrbench.cloud.credentials.credentials import Credentials
from vrbench.cloud.errors import (
    CloudError,
    CloudUnreachable,
    JobFailed,
    JobTimeout,
    NotCloudStack,
    Pause,
    TurnedAway,
    WrongCredentials,
    refusal,
)
from vrbench.core.model import CALLER, Owner

if TYPE_CHECKING:
    from cs import CloudStack
    from requests import RequestException

    from vrbench.cloud.api.transport import Wire

R = TypeVar("R")

EXPIRY_UNIT: Final = timedelta(seconds=1)
LONGEST_BACKOFF_S: Final = 30.0
FIRST_PAUSE_S: Final = 0.1  # before the second look at a job; then half as long as it has been looked at
POLL_TIMEOUT_S: Final = 10.0  # one look at a job; a look that hangs must not blind us for a minute
PATIENCE_S: Final = 180.0  # for how long a look that is turned away is repeated
TOLD_EVERY_S: Final = 10.0  # ten calls that are turned away together are told as one
_LIST_LOOKS: Final = 10  # times as long as one look that a list of many pages may take


class Cloud:
    """One CloudStack endpoint and caller; may be used from several threads (one HTTP session each).

    ``timeout_s`` is how long a call that only looks may take; one that changes something has ``mutation_timeout_s``, as
    long as a job may take: a server may answer only after it has carried out what was sent to it before. A call that
    is turned away is repeated for ``patience_s``; where that is None, one that only looks for three minutes, and one
    that changes something for ``mutation_timeout_s``.
    """

    def __init__(
        self,
        credentials: Credentials,
        timeout_s: float = 60.0,
        mutation_timeout_s: float = 600.0,
        patience_s: float | None = None,
    ) -> None:
        self.waiting = WhenTurnedAway()
        self.clock: ClockReading | None = None  # the most exact that any answer told
        self._credentials = credentials
        manner = credentials.manner
        self._timeout_s = manner.timeout_s or timeout_s
        self._mutation_timeout_s = max(mutation_timeout_s, manner.timeout_s or 0.0)
        self._patience_s = patience_s
        self._shown = Shown((credentials.key, credentials.secret), manner.headers.values())
        self._sessions = threading.local()
        self._owner = CALLER
        self._booted = datetime.now(UTC) - _up()
        self._told: dict[str, float] = {}

    @contextmanager
    def waits_by(self, waiting: WhenTurnedAway) -> Iterator[None]:
        """Go about calls that are turned away in this way, during the block."""
        before, self.waiting = self.waiting, waiting
        try:
            yield
        finally:
            self.waiting = before

    def __repr__(self) -> str:
        return f"Cloud({self.endpoint!r})"

    @property
    def endpoint(self) -> str:
        return self._credentials.endpoint

    def acting_for(self, owner: Owner) -> Cloud:
        """Return the same cloud, asked for what is this owner's and no longer the caller's own."""
        other = self if owner == self._owner else copy.copy(self)
        other._owner = owner
        return other

    def owns_key(self, key: object) -> bool:
        """Return whether this is the caller's own API key, without giving it away."""
        return key == self._credentials.key

    def call(self, command: str, /, **params: Param) -> Answer:
        """Make one API call and return its answer without the wrapper. Raises CloudUnreachable or CloudRefused."""
        timeout_s = self._mutation_timeout_s if mutates(command) else self._timeout_s
        patience_s = self._mutation_timeout_s if mutates(command) else PATIENCE_S
        patience_s = patience_s if self._patience_s is None else self._patience_s
        sent = {**params, **names_of(self._owner, command)}
        return self._shaped(command, partial(made, command), self._request(command, sent, timeout_s, patience_s))

    def list(self, command: str, name: str, /, **params: Param) -> list[Answer]:
        """Return all rows of a list command, over as many pages as the server makes; ``name`` is the object's name.

        NotCloudStack ends what has no end: a page that comes twice, and pages that take ten times as long as a look.
        """
        until = time.monotonic() + _LIST_LOOKS * self._timeout_s
        pages = [self._page(command, name, params)]
        count, page_size = pages[0].count, len(pages[0].rows)
        # The server's own page size is the length of its first answer: any other may be refused as too large.
        while pages[-1].rows and sum(len(page.rows) for page in pages) < count:
            pages.append(self._page(command, name, {**params, "page": len(pages) + 1, "pagesize": page_size}))
            if pages[-1].rows == pages[-2].rows or time.monotonic() > until:
                raise self._not_cloudstack(command, "its pages have no end")
        return [row for page in pages for row in page.rows]

    def count(self, command: str, name: str, /, **params: Param) -> int:
        """Return how many rows a list command has; one is asked for, since the answer counts them all."""
        return self._page(command, name, {**params, "page": 1, "pagesize": 1}).count

    def page(self, command: str, name: str, /, **params: Param) -> Page:
        """Return one page of a list command and the count of all; without ``page`` the first, as long as it may be."""
        return self._page(command, name, params)

    def first(self, command: str, name: str, /, **params: Param) -> Answer | None:
        """Return the first row of a list command; None where there is none. No other is asked for."""
        rows = self._page(command, name, {**params, "page": 1, "pagesize": 1}).rows
        return rows[0] if rows else None

    def submit(self, command: str, /, **params: Param) -> Job:
        """Start an asynchronous command. Raises CloudUnreachable (it may have run) or CloudRefused."""
        return Job(command, *self._shaped(command, accepted, self.call(command, **params)))

    def wait(
        self, job: Job, deadline_s: float, poll_s: float = 0.5, after_poll: Callable[[], None] = lambda: None
    ) -> Answer:
        """Look for the job's result every ``poll_s`` seconds, more often at first, for ``deadline_s`` at most.

        Raises JobFailed or JobTimeout. Server errors, timeouts and broken connections are waited through: the server
        may be restarting. ``after_poll`` is called after each look; what it raises ends the wait, and the job goes on.
        """
        begun = time.monotonic()
        until, last = begun + deadline_s, "nothing"
        while (left := until - time.monotonic()) > 0:
            last, result, asked_s = self._look(job, min(POLL_TIMEOUT_S, self._timeout_s, left))
            after_poll()
            if isinstance(result, JobFailed):
                raise result
            if result is not None:
                return result
            now = time.monotonic()
            usual_s = min(poll_s, FIRST_PAUSE_S + (now - begun) / 2)
            self.waiting.pause(max(0.0, min(max(usual_s, asked_s), until - now)))
        raise JobTimeout(job.command, job.jobid, deadline_s, last)

    def run(self, command: str, /, deadline_s: float = 600.0, **params: Param) -> Answer:
        """Submit and wait: for commands whose job creates nothing that would have to be remembered."""
        return self.wait(self.submit(command, **params), deadline_s)

    def _look(self, job: Job, timeout_s: float) -> tuple[str, Answer | JobFailed | None, float]:
        """Look at the job once; return what was seen, in words, its result if it has ended, and the pause asked for."""
        command = "queryAsyncJobResult"
        try:
            answer = self._request(command, {"jobid": job.jobid}, timeout_s, patience_s=0.0)
            found = self._shaped(command, partial(job_result, job.command), answer)
        except TurnedAway as error:
            self._tell(command, error.code, error.pause)
            return f"unknown: {error}", None, error.pause.wait_s
        except CloudError as error:
            if may_pass(error) or isinstance(error, WrongCredentials):  # a server that restarts knows no key yet
                return f"unknown: {error}", None, 0.0
            raise
        if isinstance(found, Refused):
            return "failed", JobFailed(job.command, job.jobid, found.code, self._shown.words(found.text)), 0.0
        return ("pending", None, 0.0) if found is None else ("succeeded", found, 0.0)

    def _page(self, command: str, name: str, params: Mapping[str, Param]) -> Page:
        return self._shaped(command, partial(page_of, name, params), self.call(command, **params))

    def _shaped(self, command: str, read: Callable[[Answer], R], answer: Answer) -> R:
        """Return what ``read`` makes of an answer; one that it can't read is the cloud's fault, and the call's name."""
        try:
            return read(answer)
        except NotAnAnswer as error:
            failure = self._not_cloudstack(command, str(error))
        raise failure

    def _request(self, command: str, params: Mapping[str, Param], timeout_s: float, patience_s: float) -> Answer:
        """Send the call, again if it is turned away, and return its answer without the wrapper."""
        # Raised only outside the handlers: the exceptions of the transport must not hang on to ours as its context.
        repeats = Repeats(patience_s)
        while is_turned_away(got := self._received(command, params, timeout_s), mutates(command)):
            pause = repeats.next(got)
            if repeats.too_long(pause):
                said = self._shown.refusal(command, got)
                raise TurnedAway(command, self.endpoint, got.status, said, repeats.gave_up(pause)).after(pause)
            self._tell(command, got.status, pause)
            self.waiting.pause(pause.wait_s)
            self.waiting.again()
        return self._read(command, got)

    def _tell(self, command: str, code: int, pause: Pause) -> None:
        """Say that a call is repeated; not of each of many that are turned away together."""
        now = time.monotonic()
        if now - self._told.get(command, -TOLD_EVERY_S) >= TOLD_EVERY_S:
            self._told[command] = now
            self.waiting.tell(told(command, code, pause))

    def _read(self, command: str, got: Received) -> Answer:
        """Return an answer without its wrapper. Raises CloudRefused or NotCloudStack."""
        failure: CloudError
        try:
            answer = unwrapped(command, got)
            if not isinstance(answer, Refused):
                return answer
            failure = refusal(command, self.endpoint, answer.code, self._shown.words(answer.text), self._clock_words())
        except NotAnAnswer as error:
            failure = self._no_answer(command, f"{error} ({self._shown.start(got)})", got)
        raise failure

    def _clock_words(self) -> str:
        """Say how wrong this machine's clock is, where that is why calls are refused."""
        clock = self.clock
        return f"This machine's clock is {clock}: set it." if clock and clock.expires_calls else ""

    def _received(self, command: str, params: Mapping[str, Param], timeout_s: float) -> Received:
        """Send, and return what came. Raises CloudUnreachable."""
        got = self._sent_patiently(command, params, timeout_s)
        if isinstance(got, CloudError):
            raise got
        return got

    def _sent_patiently(self, command: str, params: Mapping[str, Param], timeout_s: float) -> Received | CloudError:
        """Send; where the operator asked for it, again while the connection breaks. A job is looked at again anyhow."""
        manner = self._credentials.manner
        again = 0 if mutates(command) or command.startswith("queryAsync") else manner.retry
        for broken in range(again):
            got = self._sent(command, params, timeout_s)
            if type(got) is not CloudUnreachable:
                return got
            self.waiting.pause(min(manner.retry_backoff_s * 2**broken, LONGEST_BACKOFF_S))
        return self._sent(command, params, timeout_s)

    def _sent(self, command: str, params: Mapping[str, Param], timeout_s: float) -> Received | CloudError:
        """Sign and send by ``cs``, which is asked to leave the answer alone; return what came back, or why not."""
        import cs
        import requests

        from vrbench.cloud.api.transport import AnswerTooLarge

        sent = {name: as_text(value) for name, value in params.items() if value is not None}
        sent |= {"response": "json", **self._expires()}
        client, wire = self._client()
        wire.harmless = not mutates(command)
        client.timeout = timeout_s  # type: ignore[assignment]  # cs makes whole seconds of it; requests takes any
        try:
            getattr(client, command)(json=False, **sent)
        except cs.CloudStackApiException:
            pass  # another status than 200: the answer says which
        except AnswerTooLarge as error:
            return self._not_cloudstack(command, str(error))
        except requests.RequestException as error:
            return self._unreachable(command, error, timeout_s, wire.sent)
        self._set_clock(wire.clock)
        return wire.received

    def _set_clock(self, read: ClockReading | None) -> None:
        if read and (self.clock is None or read.error_s <= self.clock.error_s):
            self.clock = read

    def _client(self) -> tuple[CloudStack, Wire]:
        import cs

        from vrbench.cloud.api.transport import Wire, session

        ready: tuple[CloudStack, Wire] | None = getattr(self._sessions, "ready", None)
        if ready is None:
            asks, wire = self._credentials, Wire()
            way = session(wire, asks)
            client = cs.CloudStack(endpoint=asks.endpoint, key=asks.key, secret=asks.secret, session=way)
            client.method, client.cert, client.headers = asks.manner.method, asks.manner.cert, dict(asks.manner.headers)
            client.verify, client.expiration = asks.verify, -EXPIRY_UNIT  # we say ourselves when it expires
            self._sessions.ready = ready = client, wire
        return ready

    def _expires(self) -> dict[str, str]:
        """Say until when the signature holds, by the wall clock as it was at the start: a step expires none."""
        expires_s = self._credentials.manner.expires_s
        if expires_s is None:
            return {}
        until = self._booted + _up() + expires_s * EXPIRY_UNIT
        return {"signatureVersion": "3", "expires": until.strftime("%Y-%m-%dT%H:%M:%S+0000")}

    def _not_cloudstack(self, command: str, reason: str, advice: str = USUAL_ADVICE) -> NotCloudStack:
        return NotCloudStack(command, self.endpoint, reason, may_have_run=mutates(command), advice=advice)

    def _no_answer(self, command: str, reason: str, got: Received) -> NotCloudStack:
        """Return the error for a page that is not CloudStack's."""
        why, advice = of_page(got, self._asking(0.0, sent=True))
        ran = mutates(command) and got.status != PROXY_WANTS_PASSWORD
        told = f"{reason}; {why}" if why else reason
        return NotCloudStack(command, self.endpoint, told, may_have_run=ran, advice=advice)

    def _unreachable(self, command: str, error: RequestException, timeout_s: float, sent: bool) -> CloudError:
        from vrbench.cloud.api.transport import redirected

        kind, text = type(error).__name__, self._shown.redacted(str(error))
        reason, advice = redirected(error) or why_not(kind, text, self._asking(timeout_s, sent))
        may_have_run = sent and mutates(command)
        return CloudUnreachable(command, self.endpoint, reason, may_have_run=may_have_run, advice=advice)

    def _asking(self, timeout_s: float, sent: bool) -> HowAsked:
        return HowAsked.of(self._credentials, timeout_s, sent, os.environ)


def _up() -> timedelta:
    """Return how long this machine has been up, its suspended time included: no step of a clock changes that."""
    return timedelta(seconds=time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)))
