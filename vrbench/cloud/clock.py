"""How far this machine's clock is from the API server's: signed requests carry a date, and expire."""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime

from vrbench.cloud.credentials import Credentials

TIMEOUT_S = 10.0
GRAIN_S = 1.0  # the header tells whole seconds


def clock_offset_s(credentials: Credentials) -> float | None:
    """Return this machine's wall clock minus the server's, to about a second; None where the server tells no date.

    Sends one request without a key and reads its Date header, whatever the answer is. Raises OSError without an
    answer.
    """
    request = urllib.request.Request(credentials.endpoint, method="GET")
    before = time.time()
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=_context(credentials)) as answer:
            date = answer.headers.get("Date")
    except urllib.error.HTTPError as refused:
        with refused:
            date = refused.headers.get("Date")
    after = time.time()
    try:
        served = parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        served = None
    return None if served is None else (before + after) / 2 - served - GRAIN_S / 2


def _context(credentials: Credentials) -> ssl.SSLContext | None:
    """Check certificates as the API calls do."""
    if not credentials.endpoint.startswith("https"):
        return None
    if credentials.verify is False:
        return ssl._create_unverified_context()
    return ssl.create_default_context(cafile=credentials.verify if isinstance(credentials.verify, str) else None)
