"""CloudStack's API as plain calls: signed POST requests, typed errors, jobs that are waited for with a deadline.

The only importer of ``cs``, and only once a call is made. ``cs``'s own job waiting is not used: it gives up on one 503
page and, on some answers, never. A mutating call is sent once and never again by itself: when no answer came, it may
have run.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

from vrbench.cloud.answers import Answer as Answer  # what callers of the facade call it
from vrbench.cloud.answers import (
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
from vrbench.cloud.credentials import Credentials
from vrbench.cloud.errors import (
    CloudError,
    CloudUnreachable,
    JobFailed,
    JobTimeout,
    NotCloudStack,
    WrongCredentials,
    refusal,
)
from vrbench.cloud.patience import may_pass
from vrbench.core.text import visible

if TYPE_CHECKING:
    from cs import CloudStack
    from requests import RequestException

    from vrbench.cloud.transport import Wire

R = TypeVar("R")
Param = str | int | bool | list[str] | tuple[str, ...] | None

EXPIRY_UNIT: Final = timedelta(seconds=1)
LONGEST_BACKOFF_S: Final = 30.0
FIRST_PAUSE_S: Final = 0.1  # before the second look at a job; then half as long as it has been looked at
POLL_TIMEOUT_S: Final = 10.0  # one look at a job; a look that hangs must not blind us for a minute
LEAST_HIDDEN: Final = 6  # characters of a header's value that may be a gateway's key
_LIST_LOOKS: Final = 10  # times as long as one look that a list of many pages may take
_MOST_WORDS: Final = 1000  # characters of a server's own words that are shown


@dataclass(frozen=True, slots=True)
class Job:
    """A job that the server accepted; ``id`` is the object it creates, where that is known at once."""

    command: str
    jobid: str
    id: str | None = None


class Cloud:
    """One CloudStack endpoint and caller; may be used from several threads (one HTTP session each).

    ``timeout_s`` is how long a call that only looks may take; one that changes something has ``mutation_timeout_s``, as
    long as a job may take: a server may answer only after it has carried out what was sent to it before.
    """

    def __init__(self, credentials: Credentials, timeout_s: float = 60.0, mutation_timeout_s: float = 600.0) -> None:
        self._credentials = credentials
        manner = credentials.manner
        self._timeout_s = manner.timeout_s or timeout_s
        self._mutation_timeout_s = max(mutation_timeout_s, manner.timeout_s or 0.0)
        self._sessions = threading.local()
        self._booted = datetime.now(UTC) - _up()

    def __repr__(self) -> str:
        return f"Cloud({self.endpoint!r})"

    @property
    def endpoint(self) -> str:
        return self._credentials.endpoint

    def owns_key(self, key: object) -> bool:
        """Return whether this is the caller's own API key, without giving it away."""
        return key == self._credentials.key

    def call(self, command: str, /, **params: Param) -> Answer:
        """Make one API call and return its answer without the wrapper. Raises CloudUnreachable or CloudRefused."""
        timeout_s = self._mutation_timeout_s if _mutates(command) else self._timeout_s
        return self._shaped(command, partial(made, command), self._request(command, params, timeout_s))

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
            last, result = self._look(job, min(POLL_TIMEOUT_S, self._timeout_s, left))
            after_poll()
            if isinstance(result, JobFailed):
                raise result
            if result is not None:
                return result
            now = time.monotonic()
            time.sleep(max(0.0, min(poll_s, FIRST_PAUSE_S + (now - begun) / 2, until - now)))
        raise JobTimeout(job.command, job.jobid, deadline_s, last)

    def run(self, command: str, /, deadline_s: float = 600.0, **params: Param) -> Answer:
        """Submit and wait: for commands whose job creates nothing that would have to be remembered."""
        return self.wait(self.submit(command, **params), deadline_s)

    def _look(self, job: Job, timeout_s: float) -> tuple[str, Answer | JobFailed | None]:
        """Look at the job once; return what was seen, in words, and its result once it has ended."""
        command = "queryAsyncJobResult"
        try:
            answer = self._request(command, {"jobid": job.jobid}, timeout_s)
            found = self._shaped(command, partial(job_result, job.command), answer)
        except CloudError as error:
            if may_pass(error) or isinstance(error, WrongCredentials):  # a server that restarts knows no key yet
                return f"unknown: {error}", None
            raise
        if isinstance(found, Refused):
            return "failed", JobFailed(job.command, job.jobid, found.code, self._words(found.text))
        return ("pending", None) if found is None else ("succeeded", found)

    def _page(self, command: str, name: str, params: Mapping[str, Param]) -> Page:
        return self._shaped(command, partial(page_of, name, params), self.call(command, **params))

    def _shaped(self, command: str, read: Callable[[Answer], R], answer: Answer) -> R:
        """Return what ``read`` makes of an answer; one that it can't read is the cloud's fault, and the call's name."""
        try:
            return read(answer)
        except NotAnAnswer as error:
            failure = self._not_cloudstack(command, str(error))
        raise failure

    def _request(self, command: str, params: Mapping[str, Param], timeout_s: float) -> Answer:
        """Send the call, and return its answer without the wrapper."""
        # Raised only outside the handlers: the exceptions of the transport must not hang on to ours as its context.
        got = self._sent_patiently(command, params, timeout_s)
        if isinstance(got, CloudError):
            raise got
        failure: CloudError
        try:
            answer = unwrapped(command, got)
            if not isinstance(answer, Refused):
                return answer
            failure = refusal(command, self.endpoint, answer.code, self._words(answer.text))
        except NotAnAnswer as error:
            failure = self._not_cloudstack(command, f"{error} ({self._start(got)})")
        raise failure

    def _sent_patiently(self, command: str, params: Mapping[str, Param], timeout_s: float) -> Received | CloudError:
        """Send; where the operator asked for it, again while the connection breaks. A job is looked at again anyhow."""
        manner = self._credentials.manner
        again = 0 if _mutates(command) or command.startswith("queryAsync") else manner.retry
        for broken in range(again):
            got = self._sent(command, params, timeout_s)
            if type(got) is not CloudUnreachable:
                return got
            time.sleep(min(manner.retry_backoff_s * 2**broken, LONGEST_BACKOFF_S))
        return self._sent(command, params, timeout_s)

    def _sent(self, command: str, params: Mapping[str, Param], timeout_s: float) -> Received | CloudError:
        """Sign and send by ``cs``, which is asked to leave the answer alone; return what came back, or why not."""
        import cs
        import requests

        from vrbench.cloud.transport import AnswerTooLarge

        sent = {name: _text(value) for name, value in params.items() if value is not None}
        sent |= {"response": "json", **self._expires()}
        client, wire = self._client()
        client.timeout = timeout_s  # type: ignore[assignment]  # cs makes whole seconds of it; requests takes any
        try:
            getattr(client, command)(json=False, **sent)
        except cs.CloudStackApiException:
            pass  # another status than 200: the answer says which
        except AnswerTooLarge as error:
            return self._not_cloudstack(command, str(error))
        except requests.RequestException as error:
            return self._unreachable(command, error, timeout_s, wire.sent)
        return wire.received

    def _client(self) -> tuple[CloudStack, Wire]:
        import cs

        from vrbench.cloud.transport import Wire, session

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

    def _words(self, text: str) -> str:
        """Return the server's own words as one line that is fit to be shown: they may be anything, of any length."""
        said = visible(" ".join(self._redact(text[:100_000]).split()))
        return said if len(said) <= _MOST_WORDS else f"{said[:_MOST_WORDS]} …"

    def _start(self, got: Received) -> str:
        """Return the beginning of what came, so that one can tell a proxy's page from a server's."""
        kind = got.headers.get("Content-Type", "no content type").split(";")[0][:40]
        # Redacted before it is shortened: half a secret is a secret too.
        start = " ".join(self._redact(got.body[:100_000].decode(errors="replace")).split())[:80]
        return f"HTTP {got.status}, {self._redact(kind)!r}, {start!r}"

    def _not_cloudstack(self, command: str, reason: str) -> NotCloudStack:
        advice = "The address usually ends in /client/api; a proxy or a server that is starting also answers so."
        return NotCloudStack(command, self.endpoint, reason, may_have_run=_mutates(command), advice=advice)

    def _unreachable(self, command: str, error: RequestException, timeout_s: float, sent: bool) -> CloudError:
        from vrbench.cloud.transport import plain_reason

        reason, advice = plain_reason(error, self._redact(str(error)), timeout_s, sent)
        may_have_run = sent and _mutates(command)
        return CloudUnreachable(command, self.endpoint, reason, may_have_run=may_have_run, advice=advice)

    def _redact(self, text: str) -> str:
        asks = self._credentials
        gateways = (value for value in asks.manner.headers.values() if len(value) >= LEAST_HIDDEN)
        for hidden in (asks.key, asks.secret, *gateways):
            for form in (hidden, quote(hidden, safe=""), quote(hidden)):
                text = text.replace(form, "(hidden)") if form else text
        return re.sub(r"(?i)(signature|apikey|secretkey)=[^&\s'\"]+", r"\1=(hidden)", text)


def _up() -> timedelta:
    """Return how long this machine has been up, its suspended time included: no step of a clock changes that."""
    return timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME))


def _text(value: Param) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(value)
    return str(value)


def _mutates(command: str) -> bool:
    return not command.startswith(("list", "query", "get"))
