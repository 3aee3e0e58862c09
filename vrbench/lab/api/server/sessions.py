"""Signing in with a user name: a cookie plus a session key, both random, good for half an hour of idleness."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from vrbench.lab.api.state.entities import Account, Json
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.zone import Zone

TIMEOUT_S = 1800
COOKIE = "JSESSIONID"
KEY = "sessionkey"


@dataclass(slots=True)
class _Session:
    account: Account
    key: str = field(repr=False)
    used: float


class Sessions:
    """Who is signed in. A lab user's password is its secret key: a known one would open the lab to every local user."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._lock = Lock()
        self._open: dict[str, _Session] = {}

    def login(self, params: Mapping[str, str]) -> tuple[Json, str]:
        """Return the answer's body and the cookie's value; raises ApiError 531 for a wrong name or password."""
        account = self._zone.account_named(params.get("username", ""), None)
        password = params.get("password", "")
        if account is None or not hmac.compare_digest(password.encode(), account.secretkey.encode()):
            name, number = params.get("username", ""), account.domain.number if account else 1
            text = f"Failed to authenticate user {name} in domain {number}; please provide valid credentials"
            raise ApiError(531, text, cs_code=None, wrapper="loginresponse")
        cookie = secrets.token_urlsafe(24)
        session = _Session(account, secrets.token_urlsafe(24), time.monotonic())
        with self._lock:
            self._open[cookie] = session
        return _login_body(account, session.key), cookie

    def account(self, cookies: Mapping[str, str], key: str | None) -> Account | None:
        """Return whose session this is; None when it is nobody's or has expired.

        The session's key comes as a parameter and as a cookie. Where one of them is wrong or missing, the session is
        over, and ApiError 401 is raised.
        """
        cookie = cookies.get(COOKIE)
        with self._lock:
            session = self._open.get(cookie or "")
            if session is None:
                return None
            if not all(hmac.compare_digest(session.key.encode(), (k or "").encode()) for k in (key, cookies.get(KEY))):
                del self._open[cookie or ""]
                raise ApiError(401, "unable to verify user credentials", cs_code=None)
            if time.monotonic() - session.used > TIMEOUT_S:
                del self._open[cookie or ""]
                return None
            session.used = time.monotonic()
            return session.account

    def logout(self, cookie: str | None) -> Json:
        with self._lock:
            self._open.pop(cookie or "", None)
        return {"description": "success"}


def _login_body(account: Account, key: str) -> Json:
    user = account.user
    return {
        "username": user["username"],
        "userid": user["id"],
        "domainid": account.domain.uuid,
        "timeout": TIMEOUT_S,
        "account": account.name,
        "firstname": user["firstname"],
        "lastname": user["lastname"],
        "type": str(account.body["accounttype"]),
        "timezone": "UTC",
        "timezoneoffset": "0.0",
        "registered": "false",
        "sessionkey": key,
        "is2faenabled": "false",
        "is2faverified": "true",
        "issuerfor2fa": "CloudStack",
    }
