"""Request signing: HMAC-SHA1 over the sorted, lower-cased query, base64 (signature versions 2 and 3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote

EXPIRY_FORMATS = ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z")


def sign(params: Iterable[tuple[str, str]], secret: str) -> str:
    """Return the signature of ``params`` as sent (without a signature among them)."""
    parts = sorted((name, _quoted(value)) for name, value in params if name.lower() != "signature")
    text = "&".join(f"{name}={value}" for name, value in parts).lower()
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def _quoted(value: str) -> str:
    """Quote as Java's URLEncoder does, with %20 for a space: it leaves the star alone and escapes the tilde."""
    return quote(value, safe="*").replace("~", "%7E")


def is_valid(params: Mapping[str, str], secret: str, now: datetime) -> bool:
    """Return whether the request is signed with ``secret`` and has not expired; ``params`` by name as sent."""
    by_lower = {name.lower(): value for name, value in params.items()}
    if by_lower.get("signatureversion") == "3" and not _in_time(by_lower.get("expires"), now):
        return False
    expected = sign(params.items(), secret)
    return hmac.compare_digest(expected.encode(), by_lower.get("signature", "").encode())


def _in_time(expires: str | None, now: datetime) -> bool:
    """Return whether the signature holds still: version 3 needs a time that has not passed."""
    moment = expiry(expires)
    return moment is not None and moment > now


def expiry(text: str | None) -> datetime | None:
    """Return the moment that an ``expires`` names; None for none or nonsense."""
    for pattern in EXPIRY_FORMATS:
        try:
            return datetime.strptime(text or "", pattern).astimezone(UTC)
        except ValueError:
            continue
    return None
