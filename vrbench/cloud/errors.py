"""What can go wrong between us and a cloud, by blame; every message says what was asked, of whom, and what to do next.

No message ever holds an API key, a secret or a signature: whoever builds one of these redacts first, and raises it
outside the handler of the transport's own exception, whose text may hold all three.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from vrbench.core.findings import Blame, Finding, FindingState, Foreseen

# The server's own words for "there is no such thing (any more)"; it has no code for it: 431 covers every bad value.
_GONE = re.compile(r"entity does not exist|does(n't| not) exist|unable to find|could not find", re.IGNORECASE)
_NOT_PERMITTED = re.compile(r"does not exist or is not available|does not exist, is not available", re.IGNORECASE)

INTERNAL = 530
RATE_LIMIT = 429


class CloudError(Exception):
    """The cloud, or the way to it, failed us; ``command`` is the API call it happened to."""

    def __init__(self, message: str, *, command: str = "") -> None:
        super().__init__(message)
        self.command = command


class ConfigurationError(Exception):
    """No cloud was asked: no usable endpoint, key and secret were found, or one of their settings makes no sense.

    ``found`` says what is wrong and where, ``cure`` what to do; never a key or a secret, not even in part.
    """

    def __init__(self, found: str, cure: str) -> None:
        super().__init__(f"{found}: {cure}")
        self.found, self.cure = found, cure


class UnknownOperation(Exception):
    """No cloud was asked: there is no operation of this name."""


class CloudUnreachable(CloudError):
    """No answer that is CloudStack's came back. ``may_have_run``: the call may have been carried out all the same."""

    happened = "no answer from {}"

    def __init__(self, command: str, endpoint: str, reason: str, *, may_have_run: bool, advice: str = "") -> None:
        ran = " It may have been carried out all the same." if may_have_run else ""
        advice = advice or "Check that the address is right, that the server is up and that nothing blocks the way."
        super().__init__(f"{command}: {self.happened.format(endpoint)}: {reason}.{ran} {advice}", command=command)
        self.endpoint = endpoint
        self.may_have_run = may_have_run


class NotCloudStack(CloudUnreachable):
    """Something answered, but not CloudStack's API: a web page, half a document, a proxy."""

    happened = "{} answers, but not as CloudStack's API does"


class CloudRefused(CloudError):
    """The server understood and said no. ``code`` is its error code and HTTP status, ``text`` its own words."""

    advice = ""

    def __init__(self, command: str, endpoint: str, code: int, text: str, advice: str = "") -> None:
        advice = advice or self.advice
        words = f"{_ended(text)} {advice}" if advice else text
        super().__init__(f"{command}: {endpoint} refused ({code}): {words}", command=command)
        self.endpoint = endpoint
        self.code = code
        self.text = text

    @property
    def means_gone(self) -> bool:
        """Whether the thing acted on does not exist (any more)."""
        return self.code == 431 and bool(_GONE.search(self.text))

    @property
    def nothing_came_of_it(self) -> bool:
        """Whether the call was turned down before anything was made; an internal error leaves that open."""
        return self.code != INTERNAL and self.code < 600


@dataclass(frozen=True, slots=True)
class Pause:
    """How long is waited before a call is sent again, and how long the server had asked for."""

    wait_s: float = 0.0
    asked_s: float | None = None


class TurnedAway(CloudRefused):
    """The server took no calls, or no more of them, for as long as this one was repeated. It was not carried out."""

    pause = Pause()

    def after(self, pause: Pause) -> Self:
        """Note how long to wait before another try."""
        self.pause = pause
        return self


class WrongCredentials(CloudRefused):
    """The server does not know this key, or the signature does not match it."""

    advice = (
        "Check the API key and the secret (Accounts > Users > your user in the web interface), that the user is "
        "enabled, and this machine's clock: a request expires after ten minutes."
    )


class NotPermitted(CloudRefused):
    """The caller's role may not use this command, or this server has no such command."""

    advice = (
        "Either this account's role may not use the command, or this server does not have it: use an account whose "
        "role allows it, or ask the cloud's administrator."
    )


class QuotaExceeded(CloudRefused):
    """The account's limit is reached."""

    advice = "Free some of the account's resources, ask for a higher limit, or plan fewer VMs and addresses."


class NoCapacity(CloudRefused):
    """The zone itself has no address or no host left."""

    advice = "The zone has no room left: ask its administrator, choose another zone or a smaller offering."


class JobFailed(CloudError):
    """An asynchronous job ended without success; ``code`` and ``text`` are the server's."""

    def __init__(self, command: str, jobid: str, code: int, text: str) -> None:
        super().__init__(f"{command}: the job {jobid} failed ({code}): {text}", command=command)
        self.jobid = jobid
        self.code = code
        self.text = text

    @property
    def means_gone(self) -> bool:
        """Whether the thing acted on does not exist (any more)."""
        return self.code == 431 and bool(_GONE.search(self.text))


class JobTimeout(CloudError):
    """A job was not seen to end within its deadline; it may still go on."""

    def __init__(self, command: str, jobid: str, deadline_s: float, last: str) -> None:
        super().__init__(
            f"{command}: the job {jobid} was not seen to end within {deadline_s:.0f} s (last seen: {last}). It may "
            "still go on in the cloud: look at it there. If it is only slow, raise operation.job_timeout; a removal is "
            "tried again by vrbench cleanup.",
            command=command,
        )
        self.jobid = jobid


class UnsafeNetwork(CloudError):
    """The network is not in a state in which going on would be safe; nothing more was asked of it."""


class PreflightError(Foreseen, CloudError):
    """The plan can't be carried out here; ``findings`` has every reason found."""

    @classmethod
    def because(cls, problem: str) -> Self:
        """Return what to raise for one reason that ends the looking."""
        return cls([Finding("cloud", FindingState.BAD, problem, "", Blame.CLOUD)])


def _ended(text: str) -> str:
    """Return a server's words as a sentence, so that ours can follow."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def refusal(command: str, endpoint: str, code: int, text: str, clock: str = "") -> CloudRefused:
    """Return the refusal of the kind that the server's code and words stand for.

    ``clock``: what is wrong with this machine's, which is why a server knows no signature.
    """
    kind = CloudRefused
    if code == 432 or (code == 401 and _NOT_PERMITTED.search(text)):
        kind = NotPermitted
    elif code == 401:
        kind = WrongCredentials
    elif code in (532, 535):
        kind = QuotaExceeded
    elif code == 533:
        kind = NoCapacity
    return kind(command, endpoint, code, text, clock if kind is WrongCredentials else "")
