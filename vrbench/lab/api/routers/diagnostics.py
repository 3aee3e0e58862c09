"""runDiagnostics: ping, traceroute or arping, run in a router, with what they printed as the result."""

from __future__ import annotations

import re

from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import BuiltIn, Entity, Json, Machine, Router

# Each ends by itself: what the router's own script adds when the caller doesn't say how long.
BOUNDS = {"ping": ("-c", "4"), "traceroute": ("-m", "20"), "arping": ("-c", "4")}
NO_RESOURCE_TYPE = (
    'Cannot invoke "org.apache.cloudstack.api.ApiCommandResourceType.toString()" because the return value of '
    '"org.apache.cloudstack.api.BaseAsyncCmd.getApiResourceType()" is null'
)  # a bug of the server, for a guest's VM
HARMLESS = re.compile(r"[\w\-\s.]+", re.ASCII)


def run_diagnostics(call: Call) -> Task:
    """Answer runDiagnostics: everything but the id is looked at by the job."""
    target = call.entity("targetid", Entity)
    if isinstance(target, Machine):
        raise errors.internal(NO_RESOURCE_TYPE)
    if not _is_system_vm(target):
        raise errors.unknown_entity(call.shape.name, "targetid", call.required("targetid"))

    def run() -> Json:
        argv, router = _command(call), _running_router(target)
        code, printed, complaints = call.zone.ground.diagnose(router.name, argv)
        return {"diagnostics": {"stdout": printed.strip(), "stderr": complaints.strip(), "exitcode": str(code)}}

    return Task(run, target, "SystemVm")


def _is_system_vm(target: Entity | None) -> bool:
    return isinstance(target, Router) or (isinstance(target, BuiltIn) and target.kind == "systemvm")


def _command(call: Call) -> tuple[str, ...]:
    """Return the command line; raises ApiError 530, as every mistake in it is noticed by the job."""
    kind, options = call.required("type"), call.text("params") or ""
    if kind.lower() not in BOUNDS:
        raise errors.internal(f"{kind} Is not a valid diagnostics command type. ")
    if options and not HARMLESS.fullmatch(options):
        raise errors.internal(f"Optional parameters contain unwanted characters: {options}")
    argv = (kind.lower(), *call.required("ipaddress").split(), *options.split())
    flag, value = BOUNDS[kind.lower()]
    return argv if flag in argv else (*argv, flag, value)


def _running_router(target: Entity | None) -> Router:
    if isinstance(target, Router) and not target.removed:
        if target.host is None:
            raise errors.internal(f"Unable to find host for virtual machine instance: {target.name}")
        return target
    if isinstance(target, BuiltIn):  # a console proxy or a storage VM, of which the lab has no more than the record
        raise errors.internal(f"Failed to execute diagnostics command for system vm: {target.uuid}")
    raise errors.invalid(f"Unable to find a system vm with id {target.number if target else 0}")


COMMANDS = {"runDiagnostics": run_diagnostics}
