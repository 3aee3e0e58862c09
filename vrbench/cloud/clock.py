"""How far this machine's clock is from the API server's: signed requests carry a date, and expire."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from vrbench.cloud.credentials import Credentials

TIMEOUT_S = 10.0
GRAIN_S = 1.0  # the header tells whole seconds


def clock_offset_s(credentials: Credentials) -> float | None:
    """Return this machine's wall clock minus the server's, to about a second; None where the server tells no date.

    Sends one request without a key and reads its Date header, whatever the answer is. Raises OSError without an
    answer.
    """
    before = time.time()
    date = _date(credentials)
    after = time.time()
    try:
        served = parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):  # none, or one that no clock shows
        return None
    return (before + after) / 2 - served - GRAIN_S / 2


def _date(credentials: Credentials) -> str:
    """Ask for any answer, as the API calls ask: by the same certificates and proxies."""
    import requests

    from vrbench.cloud.transport import AnswerTooLarge, Wire, plain_reason, session

    wire = Wire()
    with session(wire, credentials) as asking:
        try:
            manner = credentials.manner
            request = requests.Request("GET", credentials.endpoint, headers=dict(manner.headers)).prepare()
            asking.send(request, timeout=TIMEOUT_S, verify=credentials.verify, cert=manner.cert)
        except requests.TooManyRedirects:
            pass  # an answer all the same
        except AnswerTooLarge as error:
            raise OSError(str(error)) from None
        except requests.RequestException as error:
            raise OSError(plain_reason(error, str(error), TIMEOUT_S, wire.sent)[0]) from None
    return wire.received.headers.get("Date", "")
