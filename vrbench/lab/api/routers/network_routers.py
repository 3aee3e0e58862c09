"""The strategies' port to the zone: each step changes a router's record and does the same on the ground."""

from __future__ import annotations

import json
import time

from vrbench.lab.api.accounts import events
from vrbench.lab.api.faults import simulator
from vrbench.lab.api.routers.ruleset import build
from vrbench.lab.api.routers.specs import fit_public_nics, new_guest_nic, router_spec, strategy
from vrbench.lab.api.routers.view import link_local
from vrbench.lab.api.state.entities import Account, Router, Served
from vrbench.lab.api.state.errors import ApiError, internal
from vrbench.lab.api.state.fixtures import router_constants
from vrbench.lab.api.state.zone import Zone, new_id
from vrbench.lab.ground.specs import RuleSet
from vrbench.lab.strategies import StartFailed
from vrbench.lab.timing import Timing

LONGEST_ELECTION_S = 8.0  # VRRP needs 3.6 s at most: the lab's time scale does not touch it
LOOK_S = 0.02
EXPENDABLE = ("Stopped", "Error", "Shutdown", "Unknown")
STOP_FAILURE = (
    "Unable to stop the virtual machine due to java.lang.ArrayIndexOutOfBoundsException: "
    "Index 1 out of bounds for length 1"
)


class RouterStartFailed(ApiError, StartFailed):
    """The job that wanted the router fails with this."""


class NetworkRouters:
    """RouterOps for one network or VPC, on behalf of ``caller`` (whose name the events carry)."""

    def __init__(self, zone: Zone, home: Served, caller: Account) -> None:
        self._zone = zone
        self._home = home
        self._caller = caller

    @property
    def timing(self) -> Timing:
        return self._zone.router_timing

    def routers(self) -> tuple[str, ...]:
        with self._zone.lock:
            return tuple(router.name for router in self._zone.routers_of(self._home))

    def expendable(self) -> tuple[str, ...]:
        with self._zone.lock:
            return tuple(r.name for r in self._zone.routers_of(self._home) if r.state in EXPENDABLE)

    def backup(self) -> str:
        with self._zone.lock:
            routers = self._zone.routers_of(self._home)
            return [*routers[-1:], *(r for r in routers if r.redundant_state == "BACKUP")][-1].name

    def wait(self, seconds: float) -> None:
        self._zone.pause(seconds)

    def rules(self) -> RuleSet:
        with self._zone.lock:
            return build(self._zone, self._home)

    def create(self, seconds: float) -> str:
        with self._zone.lock:
            router = self._zone.add(self._new_record())
        self._diary(events.VOLUME_CREATE, "Created", self._volume(router))
        self._zone.ground.place_router(router_spec(self._zone, router))
        self._zone.pause(seconds)
        return router.name

    def _new_record(self) -> Router:
        """Return a router with its addresses; a second one beside a first takes over its public MAC."""
        zone, home = self._zone, self._home
        source_nat = zone.source_nats(home)[0]
        peers = zone.routers_of(home)
        public_mac = peers[0].public.mac if peers else zone.new_public_mac(source_nat)
        plugged = [network for network in zone.networks_of(home) if network is home or network.state != "Allocated"]
        router = Router(
            uuid=new_id(),
            account=home.account,
            home=home,
            guests=[new_guest_nic(zone, network) for network in plugged],
            control=zone.new_nic("", ""),
            public=zone.new_nic(source_nat.ip, public_mac),
            source_nat=source_nat.ip,
            subnet=source_nat.subnet,
            volume=new_id(),
            redundant=home.redundant,
        )
        fit_public_nics(zone, router)
        return router

    def boot(self, router: str, seconds: float, plug: bool = True) -> None:
        record = self._record(router)
        self._refuse_stuck_peers()
        if simulator.fails(self._zone, simulator.START):
            self._fail_start(record)
        self._try_host(record)
        with self._zone.lock:
            record.control.ip, record.control.mac = link_local(self._zone)
        self._zone.pause(seconds + simulator.extra_s(self._zone, simulator.START))
        if plug:
            self._zone.ground.start_router(router)
        else:
            self._zone.ground.start_router_unplugged(router)

    def _refuse_stuck_peers(self) -> None:
        """Refuse when a peer hangs in Stopping. The server gives up then: it would start that one as well."""
        with self._zone.lock:
            stuck = [peer for peer in self._zone.routers_of(self._home) if peer.state == "Stopping"]
        if stuck:
            instance = json.dumps({"instanceName": stuck[0].name, "uuid": stuck[0].uuid}, separators=(",", ":"))
            raise internal(f"Unable to orchestrate the start of VM instance {instance}.")

    def _try_host(self, record: Router) -> None:
        with self._zone.lock:
            record.state, record.host, record.pod_known = "Starting", self._zone.choose_host(), True

    def _fail_start(self, record: Router) -> None:
        """Fail as when every host was tried and none will have it; the router stays behind, Stopped."""
        for _ in self._zone.built_ins["host"]:
            self._try_host(record)
            self._zone.pause(self.timing.router_place_s)
        with self._zone.lock:
            record.state, record.host = "Stopped", None
        raise RouterStartFailed(530, f"Unable to create a deployment for VM instance {_describe(record)}")

    def program(self, router: str, rules: RuleSet, seconds: float) -> None:
        self._zone.pause(seconds)
        with self._home.programming:
            self._zone.ground.program_router(router, rules)

    def mark_running(self, router: str) -> None:
        record = self._record(router)
        with self._zone.lock:
            record.state, record.version, record.scripts_version = "Running", router_constants()["version"], new_id()

    def announce(self, router: str) -> None:
        self._zone.ground.announce_router(router)

    def hand_over(self, old: str, new: str) -> None:
        self._zone.ground.hand_over(old, new)

    def synchronise(self, router: str) -> None:
        self._zone.ground.synchronise(router)

    def release(self, router: str) -> None:
        self._zone.ground.set_redundancy(router, "released")

    def await_primary(self) -> None:
        deadline = time.monotonic() + LONGEST_ELECTION_S
        while self._elects() and time.monotonic() < deadline:
            self._zone.pause(LOOK_S)

    def _elects(self) -> bool:
        """Return whether there are routers that could be primary, and none is."""
        if strategy(self._zone, self._home).vrrp is None:
            return False
        with self._zone.lock:
            able = [r.name for r in self._zone.routers_of(self._home) if r.guests and r.state == "Running"]
        return bool(able) and all(self._zone.ground.redundancy_state(name) != "PRIMARY" for name in able)

    def restart_services(self, router: str, seconds: float) -> None:
        self._zone.pause(seconds)
        self._zone.ground.restart_services(router)
        with self._zone.lock:
            self._record(router).scripts_version = new_id()

    def stop(self, router: str, seconds: float, forced: bool) -> None:
        record = self._record(router)
        if record.state in EXPENDABLE:
            return
        parent = self._diary(events.ROUTER_STOP, "Started", self._home, new_id())
        with self._zone.lock:
            record.state = "Stopping"
        if simulator.fails(self._zone, simulator.STOP):
            raise internal(STOP_FAILURE)
        if forced:
            self._zone.ground.stop_router(router)
        self._zone.pause(seconds + simulator.extra_s(self._zone, simulator.STOP))
        if not forced:
            self._zone.ground.stop_router(router)
        with self._zone.lock:
            record.state, record.host, record.control.ip = "Stopped", None, ""
        self._diary(events.ROUTER_STOP, "Completed", self._home, parent)

    def destroy(self, router: str, seconds: float) -> None:
        record = self._record(router)
        self._zone.pause(seconds)
        self._zone.ground.remove_router(router)
        with self._zone.lock:
            self._zone.remove(record)
        self._diary(events.VOLUME_DESTROY, "Completed", self._volume(record), new_id())

    def _diary(
        self, kind: events.EventKind, state: str, about: Served | events.Resource, parent: str | None = None
    ) -> str:
        return events.EventLog(self._zone, self._caller).record(kind, state, about, parent)

    @staticmethod
    def _volume(router: Router) -> events.Resource:
        return events.Resource(router.volume, f"ROOT-{router.number}")

    def _record(self, name: str) -> Router:
        with self._zone.lock:
            record = next((r for r in self._zone.routers_of(self._home) if r.name == name), None)
        if record is None:
            raise ApiError(431, f"Unable to find router by id {name.split('-')[1]}.", 4350)
        return record


def _describe(router: Router) -> str:
    """Return a router as error texts show it."""
    row = {
        "id": router.number,
        "instanceName": router.name,
        "state": "Starting",
        "type": "DomainRouter",
        "uuid": router.uuid,
    }
    return json.dumps(row, separators=(",", ":"))
