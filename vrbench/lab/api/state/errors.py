"""What the API refuses, and how: HTTP status, CloudStack's own error code and the text, as a 4.20 server words them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vrbench.lab.api.state.versions import ServerVersion

SERIAL = -7514266713085362352  # of the server's class for an id in an error
HIDDEN = "Internal error executing command, please contact your system administrator"
BAD_CREDENTIALS = "unable to verify user credentials and/or request signature"
API_LIMIT = "The given user has reached his/her account api limit, please retry after 1000 ms."


INVALID = 4350
DENIED = 4365
ALLOCATION = 4370
RUNTIME = 4250
SHORT_OF_ADDRESSES = 4320
UNCLASSIFIED = 9999  # CloudStack's code for an error without one of its own


class ApiError(Exception):
    """One refusal; ``code`` is also the HTTP status, ``cs_code`` None where the server leaves it out."""

    def __init__(
        self,
        code: int,
        text: str,
        cs_code: int | None = UNCLASSIFIED,
        wrapper: str | None = None,
        proxies: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.cs_code = cs_code
        self.wrapper = wrapper  # None: the command's own
        self.proxies = proxies  # (id, what it is) of entities that the text speaks of

    def body(self) -> Mapping[str, object]:
        """Return the object inside the wrapper of a refused call."""
        cs_code = {} if self.cs_code is None else {"cserrorcode": self.cs_code}
        named = [{"serialVersionUID": SERIAL, "uuid": entity, "description": what} for entity, what in self.proxies]
        return {"uuidList": named, "errorcode": self.code, **cs_code, "errortext": self.text}

    def job_result(self) -> Mapping[str, object]:
        """Return the result of a job that ended in this error."""
        return {"errorcode": self.code, "errortext": self.text}


def unauthorized(wrapper: str | None = None) -> ApiError:
    return ApiError(401, BAD_CREDENTIALS, cs_code=None, wrapper=wrapper)


def not_available(version: ServerVersion, command: str, call_id: str) -> ApiError:
    """Refuse a command that the caller may not use; each generation of servers words it its own way."""
    if not version.since(4, 11):
        return _neither_allowed_nor_known()
    text = f"The API [{command}] does not exist or is not available for the account for user id [{call_id}]."
    if not version.since(4, 18):
        text = f"The given command '{command}' either does not exist, is not available for user."
    return ApiError(432, text, wrapper="errorresponse")


def not_in_project(command: str, project: str) -> ApiError:
    """Refuse a command in a project that the caller is not in (since 4.15)."""
    text = f"The API [{command}] does not exist or is not available for this account/user in project [{project}]."
    return ApiError(432, text, wrapper="errorresponse")


def not_active(what: str, state: str, *proxies: tuple[str, str]) -> ApiError:
    text = f"Can't add resources to the {what} in state={state} as it's no longer active"
    return ApiError(531, text, DENIED, proxies=proxies)


def unknown_command(version: ServerVersion) -> ApiError:
    """Refuse a command that does not exist, signed with a key."""
    return unauthorized("errorresponse") if version.since(4, 11) else _neither_allowed_nor_known()


def _neither_allowed_nor_known() -> ApiError:
    text = "The user is not allowed to request the API command or the API command does not exist"
    return ApiError(432, text, wrapper="errorresponse")


def missing_parameter(command: str, name: str) -> ApiError:
    return ApiError(431, f"Unable to execute API command {command.lower()} due to missing parameter {name}")


def invalid_value(command: str, detail: str) -> ApiError:
    return ApiError(431, f"Unable to execute API command {command.lower()} due to invalid value. {detail}")


def unreadable_value(command: str, name: str, value: str) -> ApiError:
    """Refuse a value that can't be of its parameter's type."""
    text = f"Unable to execute API command {command.lower()} due to invalid value {value} for parameter {name}"
    return ApiError(431, text)


def empty_value(name: str) -> ApiError:
    """Refuse a required parameter that is there, and says nothing."""
    return invalid(f"Invalid value provided for API arg: {name}")


def unknown_entity(command: str, name: str, value: str) -> ApiError:
    detail = (
        f"Invalid parameter {name} value={value} due to incorrect long value format, or entity does not exist "
        "or due to incorrect parameter annotation for the field in api cmd class."
    )
    return invalid_value(command, detail)


def invalid(text: str, *proxies: tuple[str, str]) -> ApiError:
    """Refuse a parameter that is well-formed but can't be (CloudStack's InvalidParameterValueException)."""
    return ApiError(431, text, INVALID, proxies=proxies)


def malformed(text: str) -> ApiError:
    return ApiError(431, text)


def no_permission() -> ApiError:
    return ApiError(531, "Caller does not have permission to operate with provided resource.", DENIED)


def no_permission_in_job() -> ApiError:
    """Refuse the same in a job: of its errors only bad parameters have a code of their own."""
    return internal(no_permission().text)


def internal(text: str) -> ApiError:
    return ApiError(530, text)


def unexpected(text: str, as_root: bool) -> ApiError:
    """Refuse for what went wrong in a call that is no job. Only root learns what it was (CloudRuntimeException)."""
    return ApiError(530, text if as_root else HIDDEN, 4250)


def conflict(text: str) -> ApiError:
    return ApiError(537, text, 4360)


def too_many_addresses(account: str) -> ApiError:
    return ApiError(532, f"Maximum number of public IP addresses for account: {account} has been exceeded.", 4280)


def no_address_left(cs_code: int = UNCLASSIFIED) -> ApiError:
    """Refuse for want of an address; most commands forget which exception it was."""
    return ApiError(533, "Insufficient address capacity", cs_code)
