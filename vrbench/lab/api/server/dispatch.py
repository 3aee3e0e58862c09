"""From a request's parameters to its answer: who calls, may they, is it well-formed, what does the command say."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime

from vrbench.lab.api.accounts import events
from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.request.checks import check, read
from vrbench.lab.api.request.responses import Reply, encode
from vrbench.lab.api.server.commands import Handler, handlers
from vrbench.lab.api.server.jobs import Jobs
from vrbench.lab.api.server.post_only import check_post
from vrbench.lab.api.server.sessions import COOKIE, KEY, Sessions
from vrbench.lab.api.server.signature import is_valid
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Account, Json, Project
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.fixtures import CommandShape
from vrbench.lab.api.state.zone import Stopping, Zone, new_id
from vrbench.lab.ground.port import GroundError

log = logging.getLogger(__name__)

WRAPPERS = {
    "activateproject": "activaterojectresponse",
    "configuresimulator": "simulatormock",
    "listinternalloadbalancervms": "listinternallbvmsresponse",
    "listldapconfigurations": "ldapconfigurationresponse",
    "listportableipranges": "listportableipresponse",
    "listsecondarystagingstores": "listsecondarystagingstoreresponse",
    "resetsshkeyforvirtualmachine": "resetSSHKeyforvirtualmachineresponse",
}


class Dispatcher:
    """Answers requests for one zone; safe to call from many threads."""

    def __init__(self, zone: Zone, job_queue: Jobs) -> None:
        self._zone = zone
        self._jobs = job_queue
        self._sessions = Sessions(zone)
        self._handlers = handlers()
        self._shapes = zone.version.shapes()

    def answer(self, method: str, sent: Sequence[tuple[str, str]], cookies: Mapping[str, str]) -> Reply:
        """Return the reply to one request; ``sent`` holds its parameters with their names as sent."""
        params = {name.lower(): value for name, value in sent}
        as_json = params.get("response", "").lower() == "json"
        command = params.get("command")
        wrapper = self._wrapper(command)
        try:
            if (command or "").lower() in ("login", "logout"):
                return self._session_command(method, params, cookies, as_json)
            caller, in_session = self._authenticate(dict(sent), params, cookies)
            body = self._perform(method, caller, in_session, command or "", params)
        except ApiError as error:
            return self._encode(error.code, error.wrapper or wrapper, error.body(), as_json)
        return self._encode(200, wrapper, body, as_json)

    def _encode(self, status: int, wrapper: str, body: Mapping[str, object], as_json: bool) -> Reply:
        return encode(status, wrapper, body, as_json, self._zone.version.full)

    def _wrapper(self, command: str | None) -> str:
        if command is None:
            return "null"
        name = command.lower()
        if name in WRAPPERS:
            return WRAPPERS[name]
        return f"{name}response" if self._shape(command) or name in ("login", "logout") else "errorresponse"

    def _shape(self, command: str) -> CommandShape | None:
        """Return the shape of a command; its name counts with capitals and all."""
        shape = self._shapes.get(command.lower())
        return shape if shape is not None and shape.name == command else None

    def _session_command(
        self, method: str, params: Mapping[str, str], cookies: Mapping[str, str], as_json: bool
    ) -> Reply:
        if params["command"].lower() == "logout":
            return self._encode(200, "logoutresponse", self._sessions.logout(cookies.get(COOKIE)), as_json)
        if method != "POST":
            return Reply(405, "text/plain", b"Please use HTTP POST to authenticate using this API")
        body, cookie = self._sessions.login(params)
        reply = self._encode(200, "loginresponse", body, as_json)
        set_cookies = (
            ("Set-Cookie", f"{COOKIE}={cookie}; Path=/client; HttpOnly; SameSite=Lax"),
            ("Set-Cookie", f"sessionkey={body['sessionkey']}; Path=/client; HttpOnly; SameSite=Lax"),
        )
        return Reply(reply.status, reply.content_type, reply.body, set_cookies)

    def _authenticate(
        self, sent: Mapping[str, str], params: Mapping[str, str], cookies: Mapping[str, str]
    ) -> tuple[Account, bool]:
        """Return the caller, and whether it came with a session; raises ApiError 401."""
        key = params.get("apikey")
        account = next((a for a in self._zone.accounts if key and a.apikey == key and a.state == "enabled"), None)
        if account is not None and is_valid(sent, account.secretkey, datetime.now(UTC)):
            return account, False
        if "apikey" not in params:
            account = self._sessions.account(cookies, params.get(KEY))
            if account is not None:
                return account, True
        raise errors.unauthorized()

    def _perform(self, method: str, caller: Account, in_session: bool, command: str, params: Mapping[str, str]) -> Json:
        shape = self._shape(command)
        handler = self._handlers.get(command.lower())
        if shape is None or handler is None:
            if in_session and not caller.is_root:
                raise errors.not_available(self._zone.version, command, new_id())
            if in_session:
                raise ApiError(432, f"Unknown API command: {command}", wrapper="errorresponse")
            raise errors.unknown_command(self._zone.version)
        if caller.role not in shape.roles:
            raise errors.not_available(self._zone.version, shape.name, new_id())
        self._check_project(caller, shape, params)
        if self._zone.enforces_post():
            check_post(method, shape.name, params, in_session)
        body = self._call(shape, handler, read(Call(self._zone, caller, shape, params)))
        return self._zone.version.narrow(shape.name, body)

    def _check_project(self, caller: Account, shape: CommandShape, params: Mapping[str, str]) -> None:
        """Refuse a user in a project that it is not in, before the command is looked at."""
        project = self._zone.known(params.get("projectid", "")) if "projectid" in shape.params else None
        if not isinstance(project, Project) or not self._zone.version.since(4, 15) or caller.role != "user":
            return
        if caller not in project.members:
            raise errors.not_in_project(shape.name, project.uuid)

    def _call(self, shape: CommandShape, handler: Handler, call: Call) -> Json:
        check(call)
        # Whatever only looks sees the zone at one moment; everything else takes the lock for its own short steps.
        looks = shape.name.startswith("list")
        try:
            with self._zone.lock if looks else nullcontext():
                done = handler(call)
        except GroundError as error:
            raise errors.internal(str(error)) from error
        except ApiError as error:
            events.record_refusal(call, error)
            raise
        except Stopping:
            raise
        except Exception as error:  # a bug of ours is an answer, as on the server; the traceback is in the log
            log.exception("%s failed unexpectedly", shape.name)
            raise errors.internal(
                "Internal error executing command, please contact your system administrator"
            ) from error
        if isinstance(done, Task):
            return self._jobs.submit(call, done)
        return done
