"""CloudStack's API as plain calls: typed errors, lists of any length, jobs that are waited for with a deadline.

``cs``'s own job waiting is not used: it gives up on one 503 page and, on some answers, never. How a call is sent stands
in ``channel``.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Final, TypeVar

from vrbench.cloud.api.answers import Answer as Answer  # what callers of the facade call it
from vrbench.cloud.api.answers import (
    NotAnAnswer,
    Page,
    Refused,
    accepted,
    job_result,
    made,
    page_of,
)
from vrbench.cloud.api.channel import Channel
from vrbench.cloud.api.clock import ClockReading
from vrbench.cloud.api.job import Job as Job
from vrbench.cloud.api.params import Param as Param  # what callers of the facade call it
from vrbench.cloud.api.params import mutates, names_of
from vrbench.cloud.api.patience import may_pass
from vrbench.cloud.api.turned_away import WhenTurnedAway
from vrbench.cloud.credentials.credentials import Credentials
from vrbench.cloud.errors import (
    CloudError,
    JobFailed,
    JobTimeout,
    TurnedAway,
    WrongCredentials,
)
from vrbench.core.model import CALLER, Owner

R = TypeVar("R")

FIRST_PAUSE_S: Final = 0.1  # before the second look at a job; then half as long as it has been looked at
POLL_TIMEOUT_S: Final = 10.0  # one look at a job; a look that hangs must not blind us for a minute
PATIENCE_S: Final = 180.0  # for how long a look that is turned away is repeated
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
        self._channel = Channel(credentials)
        manner = credentials.manner
        self._timeout_s = manner.timeout_s or timeout_s
        self._mutation_timeout_s = max(mutation_timeout_s, manner.timeout_s or 0.0)
        self._patience_s = patience_s
        self._owner = CALLER

    @property
    def clock(self) -> ClockReading | None:
        """This machine's clock beside the server's, by the most exact of all answers so far."""
        return self._channel.clock

    @property
    def waiting(self) -> WhenTurnedAway:
        """How this thread goes about calls that are turned away."""
        return self._channel.waits

    @waiting.setter
    def waiting(self, waiting: WhenTurnedAway) -> None:
        self._channel.waiting = waiting

    def waits_by(self, waiting: WhenTurnedAway) -> AbstractContextManager[None]:
        """Go about calls that are turned away in this way, during the block, whichever thread makes them."""
        return self._channel.waits_by(waiting)

    def waits_here_by(self, waiting: WhenTurnedAway) -> AbstractContextManager[None]:
        """Do so with calls of this thread alone."""
        return self._channel.waits_here_by(waiting)

    def __repr__(self) -> str:
        return f"Cloud({self.endpoint!r})"

    @property
    def endpoint(self) -> str:
        return self._channel.endpoint

    def acting_for(self, owner: Owner) -> Cloud:
        """Return the same cloud, asked for what is this owner's and no longer the caller's own."""
        other = self if owner == self._owner else copy.copy(self)
        other._owner = owner
        return other

    @property
    def _credentials(self) -> Credentials:
        return self._channel.credentials

    def owns_key(self, key: object) -> bool:
        """Return whether this is the caller's own API key, without giving it away."""
        return key == self._credentials.key

    def call(self, command: str, /, **params: Param) -> Answer:
        """Make one API call and return its answer without the wrapper. Raises CloudUnreachable or CloudRefused."""
        timeout_s = self._mutation_timeout_s if mutates(command) else self._timeout_s
        patience_s = self._mutation_timeout_s if mutates(command) else PATIENCE_S
        patience_s = patience_s if self._patience_s is None else self._patience_s
        sent = {**params, **names_of(self._owner, command)}
        return self._shaped(command, partial(made, command), self._channel.ask(command, sent, timeout_s, patience_s))

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
                raise self._channel.not_cloudstack(command, "its pages have no end")
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
            answer = self._channel.ask(command, {"jobid": job.jobid}, timeout_s, patience_s=0.0)
            found = self._shaped(command, partial(job_result, job.command), answer)
        except TurnedAway as error:
            self._channel.tell(command, error.code, error.pause)
            return f"unknown: {error}", None, error.pause.wait_s
        except CloudError as error:
            if may_pass(error) or isinstance(error, WrongCredentials):  # a server that restarts knows no key yet
                return f"unknown: {error}", None, 0.0
            raise
        if isinstance(found, Refused):
            return "failed", JobFailed(job.command, job.jobid, found.code, self._channel.shown.words(found.text)), 0.0
        return ("pending", None, 0.0) if found is None else ("succeeded", found, 0.0)

    def _page(self, command: str, name: str, params: Mapping[str, Param]) -> Page:
        return self._shaped(command, partial(page_of, name, params), self.call(command, **params))

    def _shaped(self, command: str, read: Callable[[Answer], R], answer: Answer) -> R:
        """Return what ``read`` makes of an answer; one that it can't read is the cloud's fault, and the call's name."""
        try:
            return read(answer)
        except NotAnAnswer as error:
            failure = self._channel.not_cloudstack(command, str(error))
        raise failure
