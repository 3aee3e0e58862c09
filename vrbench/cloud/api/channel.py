"""The channel to one endpoint: a call is signed, sent by ``cs``, again where it is turned away, and its answer read.

The only importer of ``cs``, and only once a call is made. A call that changes something is sent once and never again by
itself when no answer came: it may have run.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from vrbench.cloud.api.answers import Answer, NotAnAnswer, Received, Refused, unwrapped
from vrbench.cloud.api.clock import ClockReading
from vrbench.cloud.api.no_answer import PROXY_WANTS_PASSWORD, USUAL_ADVICE, HowAsked, of_page, why_not
from vrbench.cloud.api.params import Param, as_text, mutates
from vrbench.cloud.api.shown import Shown
from vrbench.cloud.api.turned_away import Repeats, WhenTurnedAway, is_turned_away, told
from vrbench.cloud.credentials.credentials import Credentials
from vrbench.cloud.errors import CloudError, CloudUnreachable, NotCloudStack, Pause, TurnedAway, refusal

if TYPE_CHECKING:
    from cs import CloudStack
    from requests import RequestException

    from vrbench.cloud.api.transport import Wire

EXPIRY_UNIT: Final = timedelta(seconds=1)
LONGEST_BACKOFF_S: Final = 30.0
TOLD_EVERY_S: Final = 10.0  # ten calls that are turned away together are told as one


class Channel:
    """One endpoint and caller; may be used from several threads (one HTTP session each).

    ``clock``: this machine's clock beside the server's, by the most exact of all answers so far.
    """

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.waiting = WhenTurnedAway()
        self.clock: ClockReading | None = None
        self.shown = Shown((credentials.key, credentials.secret), credentials.manner.headers.values())
        self._here = threading.local()
        self._booted = datetime.now(UTC) - _up()
        self._told: dict[str, float] = {}

    @property
    def endpoint(self) -> str:
        return self.credentials.endpoint

    @property
    def waits(self) -> WhenTurnedAway:
        """How this thread goes about calls that are turned away."""
        here: WhenTurnedAway | None = getattr(self._here, "waiting", None)
        return here or self.waiting

    @contextmanager
    def waits_by(self, waiting: WhenTurnedAway) -> Iterator[None]:
        """Go about calls that are turned away in this way, during the block, whichever thread makes them."""
        before, self.waiting = self.waiting, waiting
        try:
            yield
        finally:
            self.waiting = before

    @contextmanager
    def waits_here_by(self, waiting: WhenTurnedAway) -> Iterator[None]:
        """Do so with calls of this thread alone."""
        self._here.waiting = waiting
        try:
            yield
        finally:
            self._here.waiting = None

    def ask(self, command: str, params: Mapping[str, Param], timeout_s: float, patience_s: float) -> Answer:
        """Send the call, again if it is turned away, and return its answer without the wrapper."""
        # Raised only outside the handlers: the exceptions of the transport must not hang on to ours as its context.
        repeats = Repeats(patience_s)
        while is_turned_away(got := self._received(command, params, timeout_s), mutates(command)):
            pause = repeats.next(got)
            if repeats.too_long(pause):
                said = self.shown.refusal(command, got)
                raise TurnedAway(command, self.endpoint, got.status, said, repeats.gave_up(pause)).after(pause)
            self.tell(command, got.status, pause)
            self.waits.pause(pause.wait_s)
            self.waits.again()
        return self._read(command, got)

    def tell(self, command: str, code: int, pause: Pause) -> None:
        """Say that a call is repeated; not of each of many that are turned away together."""
        now = time.monotonic()
        if now - self._told.get(command, -TOLD_EVERY_S) >= TOLD_EVERY_S:
            self._told[command] = now
            self.waits.tell(told(command, code, pause))

    def _read(self, command: str, got: Received) -> Answer:
        """Return an answer without its wrapper. Raises CloudRefused or NotCloudStack."""
        failure: CloudError
        try:
            answer = unwrapped(command, got)
            if not isinstance(answer, Refused):
                return answer
            failure = refusal(command, self.endpoint, answer.code, self.shown.words(answer.text), self._clock_words())
        except NotAnAnswer as error:
            failure = self._no_answer(command, f"{error} ({self.shown.start(got)})", got)
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
        manner = self.credentials.manner
        again = 0 if mutates(command) or command.startswith("queryAsync") else manner.retry
        for broken in range(again):
            got = self._sent(command, params, timeout_s)
            if type(got) is not CloudUnreachable:
                return got
            self.waits.pause(min(manner.retry_backoff_s * 2**broken, LONGEST_BACKOFF_S))
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
            return self.not_cloudstack(command, str(error))
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

        ready: tuple[CloudStack, Wire] | None = getattr(self._here, "ready", None)
        if ready is None:
            asks, wire = self.credentials, Wire()
            way = session(wire, asks)
            client = cs.CloudStack(endpoint=asks.endpoint, key=asks.key, secret=asks.secret, session=way)
            client.method, client.cert, client.headers = asks.manner.method, asks.manner.cert, dict(asks.manner.headers)
            client.verify, client.expiration = asks.verify, -EXPIRY_UNIT  # we say ourselves when it expires
            self._here.ready = ready = client, wire
        return ready

    def _expires(self) -> dict[str, str]:
        """Say until when the signature holds, by the wall clock as it was at the start: a step expires none."""
        expires_s = self.credentials.manner.expires_s
        if expires_s is None:
            return {}
        until = self._booted + _up() + expires_s * EXPIRY_UNIT
        return {"signatureVersion": "3", "expires": until.strftime("%Y-%m-%dT%H:%M:%S+0000")}

    def not_cloudstack(self, command: str, reason: str, advice: str = USUAL_ADVICE) -> NotCloudStack:
        return NotCloudStack(command, self.endpoint, reason, may_have_run=mutates(command), advice=advice)

    def _no_answer(self, command: str, reason: str, got: Received) -> NotCloudStack:
        """Return the error for a page that is not CloudStack's."""
        why, advice = of_page(got, self._asking(0.0, sent=True))
        ran = mutates(command) and got.status != PROXY_WANTS_PASSWORD
        told = f"{reason}; {why}" if why else reason
        return NotCloudStack(command, self.endpoint, told, may_have_run=ran, advice=advice)

    def _unreachable(self, command: str, error: RequestException, timeout_s: float, sent: bool) -> CloudError:
        from vrbench.cloud.api.transport import redirected

        kind, text = type(error).__name__, self.shown.redacted(str(error))
        reason, advice = redirected(error) or why_not(kind, text, self._asking(timeout_s, sent))
        may_have_run = sent and mutates(command)
        return CloudUnreachable(command, self.endpoint, reason, may_have_run=may_have_run, advice=advice)

    def _asking(self, timeout_s: float, sent: bool) -> HowAsked:
        return HowAsked.of(self.credentials, timeout_s, sent, os.environ)


def _up() -> timedelta:
    """Return how long this machine has been up, its suspended time included: no step of a clock changes that."""
    return timedelta(seconds=time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)))
