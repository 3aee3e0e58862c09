"""A switch of later servers (enforce.post.requests.and.timestamps): a GET changes nothing, no signature lasts long."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from vrbench.lab.api.server.signature import expiry
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.errors import ApiError

LONGEST = timedelta(minutes=15)
LOOKS = re.compile(r"(list|get|query|find|is|search)\w*", re.IGNORECASE)


def check_post(method: str, command: str, params: Mapping[str, str], in_session: bool) -> None:
    """Refuse a signature that lasts too long (401), then a GET that would change something (400)."""
    if not in_session:
        expires = expiry(params.get("expires")) if params.get("signatureversion") == "3" else None
        if expires is None or expires > datetime.now(UTC) + LONGEST:
            raise errors.unauthorized()
    if method != "POST" and not LOOKS.fullmatch(command):
        raise ApiError(400, f"State changing command {command} needs to be sent using POST request")
