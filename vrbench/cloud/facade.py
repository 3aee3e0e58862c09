"""CloudStack's API as plain calls: signed POST requests, typed errors, jobs that are waited for with a deadline.

The only importer of ``cs``, and only once a call is made. ``cs``'s own job waiting is not used: it gives up on one 503
page and, on some answers, never. A mutating call is sent once and never again by itself: when no answer came, it may
have run.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from vrbench.cloud.credentials import Credentials
from vrbench.cloud.errors import (
    RATE_LIMIT,
    CloudError,
    CloudRefused,
    CloudUnreachable,
    JobFailed,
    JobTimeout,
    NotCloudStack,
    WrongCredentials,
    refusal,
)

if TYPE_CHECKING:
    from cs import CloudStack, CloudStackException
    from requests import RequestException

Answer = dict[str, Any]  # what the API gives: JSON with the outer wrapper taken off
Param = str | int | bool | list[str] | tuple[str, ...] | None

EXPIRES_AFTER: Final = timedelta(minutes=10)  # servers may refuse signatures that last longer than 15
POLL_TIMEOUT_S: Final = 10.0  # one look at a job; a look that hangs must not blind us for a minute
_PENDING, _SUCCEEDED = 0, 1


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
        self._timeout_s = timeout_s
        self._mutation_timeout_s = mutation_timeout_s
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
        return self._request(command, params, self._mutation_timeout_s if _mutates(command) else self._timeout_s)

    def list(self, command: str, name: str, /, **params: Param) -> list[Answer]:
        """Return all rows of a list command, over as many pages as the server makes; ``name`` is the object's name."""
        answer = self.call(command, **params)
        rows: list[Answer] = answer.get(name, [])
        page_size, page = len(rows), 1
        # The server's own page size is the length of its first answer: any other may be refused as too large.
        while page_size and len(rows) < int(answer.get("count", 0)):
            page += 1
            more = self.call(command, **params, page=page, pagesize=page_size).get(name, [])
            if not more:
                break
            rows = rows + more
        return rows

    def submit(self, command: str, /, **params: Param) -> Job:
        """Start an asynchronous command. Raises CloudUnreachable (it may have run) or CloudRefused."""
        answer = self.call(command, **params)
        if "jobid" not in answer:
            raise NotCloudStack(command, self.endpoint, "the answer names no job", may_have_run=True)
        return Job(command, str(answer["jobid"]), answer.get("id"))

    def wait(
        self, job: Job, deadline_s: float, poll_s: float = 0.5, after_poll: Callable[[], None] = lambda: None
    ) -> Answer:
        """Look for the job's result every ``poll_s`` seconds, for ``deadline_s`` at most.

        Raises JobFailed or JobTimeout. Server errors, timeouts and broken connections are waited through: the server
        may be restarting. ``after_poll`` is called after each look; what it raises ends the wait, and the job goes on.
        """
        until = time.monotonic() + deadline_s
        last = "nothing"
        while (left := until - time.monotonic()) > 0:
            last, result = self._look(job, min(POLL_TIMEOUT_S, self._timeout_s, left))
            after_poll()
            if isinstance(result, JobFailed):
                raise result
            if result is not None:
                return result
            time.sleep(max(0.0, min(poll_s, until - time.monotonic())))
        raise JobTimeout(job.command, job.jobid, deadline_s, last)

    def run(self, command: str, /, deadline_s: float = 600.0, **params: Param) -> Answer:
        """Submit and wait: for commands whose job creates nothing that would have to be remembered."""
        return self.wait(self.submit(command, **params), deadline_s)

    def _look(self, job: Job, timeout_s: float) -> tuple[str, Answer | JobFailed | None]:
        """Look at the job once; return what was seen, in words, and its result once it has ended."""
        try:
            answer = self._request("queryAsyncJobResult", {"jobid": job.jobid}, timeout_s)
        except CloudError as error:
            if _may_pass(error):
                return f"unknown: {error}", None
            raise
        status, result = answer.get("jobstatus"), answer.get("jobresult")
        if status == _PENDING:
            return "pending", None
        if status == _SUCCEEDED:
            return "succeeded", result if isinstance(result, dict) else {}
        if status is None:
            return "unknown: the answer has no jobstatus", None
        return "failed", _job_failed(job, answer, self._redact)

    def _request(self, command: str, params: dict[str, Param], timeout_s: float) -> Answer:
        import cs
        import requests

        sent = {name: _text(value) for name, value in params.items() if value is not None}
        sent |= {"signatureVersion": "3", "expires": self._expires()}
        client = self._client(timeout_s)
        # Raised only outside the handlers: the exceptions of the transport must not hang on to ours as its context.
        failure: CloudError
        try:
            answer = getattr(client, command)(**sent)
            if isinstance(answer, dict):
                return answer
            failure = NotCloudStack(command, self.endpoint, "JSON of another shape", may_have_run=_mutates(command))
        except cs.CloudStackApiException as error:
            failure = self._refused(command, error)
        except cs.CloudStackException as error:
            failure = self._not_cloudstack(command, error)
        except requests.RequestException as error:
            failure = self._unreachable(command, error)
        except ValueError:  # cs 3.2 trips over its own message about a page that is no JSON
            failure = NotCloudStack(command, self.endpoint, "the answer is no JSON", may_have_run=_mutates(command))
        raise failure

    def _client(self, timeout_s: float) -> CloudStack:
        import cs

        client: CloudStack | None = getattr(self._sessions, "client", None)
        if client is None:
            asks = self._credentials
            client = cs.CloudStack(endpoint=asks.endpoint, key=asks.key, secret=asks.secret, method="post")
            client.verify = asks.verify
            # A redirect would carry the signed request to a host that nobody named.
            client.session.max_redirects = 0
            # A proxy set for the rest of the world can't reach our own loopback.
            client.session.trust_env = not _is_loopback(asks.endpoint)
            self._sessions.client = client
        client.timeout = timeout_s  # type: ignore[assignment]  # cs makes whole seconds of it; requests takes any
        return client

    def _expires(self) -> str:
        """Return the time in ten minutes by the wall clock as it was at the start: a step expires no signature."""
        return (self._booted + _up() + EXPIRES_AFTER).strftime("%Y-%m-%dT%H:%M:%S+0000")

    def _refused(self, command: str, error: CloudStackException) -> CloudError:
        body = getattr(error, "error", None)
        status = error.response.status_code
        if not isinstance(body, dict):
            return NotCloudStack(command, self.endpoint, f"HTTP {status} without a reason", may_have_run=status >= 500)
        text = self._redact(str(body.get("errortext") or "no reason given"))
        return refusal(command, self.endpoint, int(body.get("errorcode") or status), text)

    def _not_cloudstack(self, command: str, error: CloudStackException) -> CloudError:
        response = error.response
        kind = response.headers.get("Content-Type", "no content type").split(";")[0]
        # Redacted before it is shortened: half a secret is a secret too.
        start = " ".join(self._redact(response.text[:100_000]).split())[:80]
        reason = f"HTTP {response.status_code}, {kind}, {start!r}"
        return NotCloudStack(
            command,
            self.endpoint,
            reason,
            may_have_run=_mutates(command),
            advice="The address usually ends in /client/api; a proxy or a server that is starting also answers so.",
        )

    def _unreachable(self, command: str, error: RequestException) -> CloudError:
        import requests

        never_sent = isinstance(error, requests.ConnectTimeout | requests.exceptions.SSLError) or (
            "NewConnectionError" in str(error) or "NameResolutionError" in str(error)
        )
        reason, advice = _plain_reason(error, self._redact(str(error)))
        may_have_run = _mutates(command) and not never_sent
        return CloudUnreachable(command, self.endpoint, reason, may_have_run=may_have_run, advice=advice)

    def _redact(self, text: str) -> str:
        for hidden in (self._credentials.key, self._credentials.secret):
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


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _mutates(command: str) -> bool:
    return not command.startswith(("list", "query", "get"))


def _may_pass(error: CloudError) -> bool:
    """Return whether a look at a job failed for a reason that may pass, such as a management server that restarts."""
    if isinstance(error, CloudRefused):
        return error.code >= 500 or error.code == RATE_LIMIT or isinstance(error, WrongCredentials)
    return isinstance(error, CloudUnreachable)


def _job_failed(job: Job, answer: Answer, redact: Callable[[str], str]) -> JobFailed:
    result = answer.get("jobresult")
    said = result if isinstance(result, dict) else {}
    code = int(said.get("errorcode") or answer.get("jobresultcode") or 0)
    text = redact(str(said.get("errortext") or "the server gave no reason"))
    return JobFailed(job.command, job.jobid, code, text)


def _plain_reason(error: RequestException, text: str) -> tuple[str, str]:
    """Say in a few words what failed, and what to do about it ("" for the usual advice); ``text`` is redacted."""
    import requests

    if isinstance(error, requests.TooManyRedirects):
        where = error.response.headers.get("Location", "") if error.response is not None else ""
        return f"it redirects to {urlsplit(where)._replace(query='').geturl()!r}", "Use that address as the endpoint."
    if isinstance(error, requests.exceptions.SSLError):
        return f"TLS failed: {text[-200:]}", "Give the CA's bundle as verify, or correct the server's certificate."
    if isinstance(error, requests.Timeout):
        return "it took too long", ""
    known = {
        "NameResolutionError": "its name can't be resolved",
        "Connection refused": "the connection was refused",
        "reset by peer": "the connection was reset",
        "closed connection": "the connection was closed without an answer",
        "IncompleteRead": "the answer broke off half-way",
        "unreachable": "no route to it",
    }
    return next((words for sign, words in known.items() if sign in text), f"{type(error).__name__}"), ""
