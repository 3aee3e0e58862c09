"""Commands on virtual routers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.request.filters import fits
from vrbench.lab.api.routers.network_routers import NetworkRouters
from vrbench.lab.api.routers.specs import strategy
from vrbench.lab.api.routers.view import router_view
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import BuiltIn, Json, Machine, Router, Vpc
from vrbench.lab.api.state.fixtures import router_constants

NO_HEALTH_RESULTS = (
    "Failed to get health check results due to: No health check results found for the router. This could happen for a "
    "newly created router. Please wait for periodic results to populate or manually call for checks to execute. "
)
GONE = "Unable to find router by id {id}."

Step = Callable[[Call, Router], None]


def list_routers(call: Call) -> Json:
    mine = call.scope()
    chosen = [router for router in call.zone.routers if mine(router.account) and _matches(call, router)]
    rows = [router_view(call.zone, router, call.caller.is_root) for router in chosen]
    if call.flag("fetchhealthcheckresults"):
        rows = [row | {"healthcheckresults": []} for row in rows]
    return call.listing("router", rows)


def _matches(call: Call, router: Router) -> bool:
    in_vpc, host = isinstance(router.home, Vpc), router.host.body if router.host else {}
    exactly = {
        "id": router.uuid,
        "name": router.name,
        "state": router.state,
        "hostid": host.get("id"),
        "clusterid": host.get("clusterid"),
        "podid": router_constants()["podid"] if router.pod_known else None,
        "zoneid": call.zone.built_ins["zone"][0].uuid,
        "vpcid": router.home.uuid if in_vpc else None,
        "arch": router_constants()["arch"],
    }
    legs = {nic.network.uuid: nic.network.name for nic in router.guests}
    said = (router.name, router.state, *legs.values(), router.home.name if in_vpc else "", router.redundant_state)
    return (
        fits(call, exactly, {"keyword": " ".join(said)}, {"forvpc": in_vpc, "healthchecksfailed": False})
        and call.text("networkid") in (None, "", *legs)
        and router.version.startswith(call.text("version") or "")
    )


def _operation(step: Step) -> Callable[[Call], Task]:
    """Return a router command whose job answers with the router as it is afterwards."""

    def handler(call: Call) -> Task:
        machine = call.zone.known(call.required("id"))
        if isinstance(machine, Machine):
            return Task(partial(_no_router, machine), None, "DomainRouter")
        router = call.target("id", Router, GONE)

        def run() -> Json:
            call.zone.operate()
            with router.home.implementing:
                step(call, router)
            with call.zone.lock:
                return {"router": router_view(call.zone, router, call.caller.is_root)}

        return Task(run, router, "DomainRouter")

    return handler


def _no_router(machine: Machine) -> Json:
    """Fail as the job does that was given a guest's VM; the call itself takes any machine."""
    raise errors.malformed(f"Unable to find domain router with id {machine.number}.")


def _stop(call: Call, router: Router) -> None:
    ops = NetworkRouters(call.zone, router.home, call.caller)
    ops.stop(router.name, ops.timing.router_force_stop_s, forced=True)


def _start(call: Call, router: Router) -> None:
    if router.state == "Running":
        return
    ops = NetworkRouters(call.zone, router.home, call.caller)
    strategy(call.zone, router.home).start(ops, router.name)
    ops.announce(router.name)


def _reboot(call: Call, router: Router) -> None:
    if router.state != "Running":
        raise errors.internal("Unable to reboot domR, it is not in right state " + router.state)
    _stop(call, router)
    _start(call, router)


def _destroy(call: Call, router: Router) -> None:
    _stop(call, router)
    ops = NetworkRouters(call.zone, router.home, call.caller)
    ops.destroy(router.name, ops.timing.router_destroy_s)


def health_check_results(call: Call) -> Json:
    call.target("routerid", Router, GONE)
    raise errors.internal(NO_HEALTH_RESULTS.strip())


def patch_system_vm(call: Call) -> Task:
    """Answer patchSystemVm: for console proxies and storage VMs only."""
    router = call.entity("id", Router)

    def run() -> Json:
        number = router.number if router else 0
        raise errors.ApiError(
            431, f"Unable to find SystemVm with id {number}. patchSystemVm API can be used to patch CPVM / SSVM only."
        )

    return Task(run)


def migrate_system_vm(call: Call) -> Task:
    router = call.target("virtualmachineid", Router, GONE)

    def run() -> Json:
        host = router.host.body if router.host else {"name": "none", "id": "none"}
        raise errors.internal(
            f"Migration with storage isn't supported for source host {host['name']} (ID: {host['id']}) on hypervisor "
            "Simulator with version 4.20.2.0"
        )

    return Task(run)


def change_service(call: Call) -> Json:
    """Answer changeServiceForRouter: no other offering of the zone fits a router."""
    call.target("id", Router, GONE)
    offering = call.target("serviceofferingid", BuiltIn)
    text = f'{{"id":{offering.number},"name":"{offering.body["name"]}","uuid":"{offering.uuid}"}}'
    raise errors.invalid(f"Cannot upgrade router vm to a non system service offering Service offering {text}.")


def upgrade_template(call: Call) -> Json:
    """Answer upgradeRouterTemplate: nothing to do, every router has the zone's only template."""
    del call
    return {}


COMMANDS = {
    "listRouters": list_routers,
    "rebootRouter": _operation(_reboot),
    "stopRouter": _operation(_stop),
    "startRouter": _operation(_start),
    "destroyRouter": _operation(_destroy),
    "getRouterHealthCheckResults": health_check_results,
    "patchSystemVm": patch_system_vm,
    "migrateSystemVm": migrate_system_vm,
    "changeServiceForRouter": change_service,
    "upgradeRouterTemplate": upgrade_template,
}
