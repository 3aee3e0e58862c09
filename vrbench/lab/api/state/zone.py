"""The zone's state: everything that exists, the lock that guards it, and what is handed out from it.

``Zone.lock`` guards every record. It is never held while waiting or while the ground works.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network
from itertools import count, cycle
from threading import Event as Flag
from threading import RLock
from typing import TypeVar

from vrbench.lab.api.state import errors, fixtures
from vrbench.lab.api.state.clock import ZoneClock
from vrbench.lab.api.state.entities import (
    Account,
    AclList,
    AclRule,
    Address,
    BuiltIn,
    Domain,
    Entity,
    Event,
    Job,
    KeyPair,
    Machine,
    Network,
    Nic,
    Project,
    Router,
    Rule,
    Served,
    Tag,
    UserData,
    Vpc,
)
from vrbench.lab.api.state.settings import ZoneSettings
from vrbench.lab.api.state.versions import ServerVersion
from vrbench.lab.faults import Faults
from vrbench.lab.ground.port import Ground

E = TypeVar("E", bound=Entity)

POST_ONLY = "enforce.post.requests.and.timestamps"  # a switch of 4.21, here for every version
PURGED = AclList | AclRule | KeyPair | Rule | Tag  # the server keeps no row of these when they are removed
BUILT_IN_KINDS = ("zone", "host", "networkoffering", "serviceoffering", "template", "vpcoffering", "role", "ostype")


class Stopping(Exception):
    """The lab is being taken down; whatever waits in it gives up."""


class Zone:
    """One CloudStack zone's records over a ground."""

    def __init__(
        self, ground: Ground, settings: ZoneSettings, faults: Faults | None = None, clock: ZoneClock | None = None
    ) -> None:
        self.ground = ground
        self.faults = faults or Faults()
        self.clock = clock or ZoneClock()
        self.settings = settings
        self.router_timing = settings.build_timing or settings.timing
        self.version = ServerVersion(settings.server_version)
        self.lock = RLock()
        self.stopping = Flag()
        self.random = random.Random()
        self.domains = fixtures.domains()
        self.accounts = fixtures.accounts(settings, self.domains)
        self.projects: list[Project] = []
        self.system = fixtures.system_account(self.domains[0])
        self.built_ins = {kind: fixtures.built_ins(kind) for kind in BUILT_IN_KINDS}
        self.networks: list[Network] = []
        self.vpcs: list[Vpc] = []
        self.acl_lists = fixtures.acl_lists()
        self.acl_rules = fixtures.acl_rules(self.acl_lists)
        self.machines: list[Machine] = []
        self.routers: list[Router] = []
        self.rules: list[Rule] = []
        self.keypairs: list[KeyPair] = []
        self.userdata: list[UserData] = []
        self.tags: list[Tag] = []
        self.events: list[Event] = []
        self.jobs: list[Job] = []
        self.addresses = self._address_pool()
        self.public_ranges = self._ranges()
        self.mocks: dict[str, str] = {}  # simulated faults: command name to "fail" or "wait:MILLISECONDS"
        self.configurations = {row["name"]: dict(row) for row in fixtures.load("zone.json")["configuration"]}
        self.configurations["network.rolling.restart"]["value"] = str(settings.strategy != "serial").lower()
        self.configurations[POST_ONLY] = {
            **self.configurations["allow.user.expunge.recover.vm"],
            "name": POST_ONLY,
            "value": "false",
            "description": "Refuse GET requests that change something, and signatures that last over 15 minutes",
        }
        self._known: dict[str, Entity] = {}
        self._taken = count(1)
        self._mac_bytes = cycle(self.random.sample(range(256), 256))
        self._instances = count(3)  # 1 and 2 are the system VMs
        self._numbers = {Network: count(204), Rule: count(1), Vpc: count(1), UserData: count(1), BuiltIn: count(201)}
        self._numbers |= {Domain: count(3), Account: count(6), Project: count(1)}
        fixed = (*self.domains, *self.accounts, *self.acl_lists, *self.acl_rules, *self._all_built_ins())
        for entity in (*fixed, *self.addresses, *self.public_ranges, *fixtures.bystanders()):
            self._known[entity.uuid] = entity

    def _all_built_ins(self) -> Iterable[BuiltIn]:
        return (entity for kind in self.built_ins.values() for entity in kind)

    def _ranges(self) -> list[BuiltIn]:
        """Return the public ranges as root lists them."""
        model = fixtures.load("zone.json")["vlaniprange"][0]
        return [
            BuiltIn(
                uuid=model["id"] if number == 1 else new_id(),
                number=number,
                kind="vlan",
                body={
                    "vlan": f"vlan://{block.vlan}",
                    "gateway": str(block.gateway),
                    "netmask": str(block.cidr.netmask),
                    "cidr": str(block.cidr),
                    "startip": str(block.first),
                    "endip": str(block.last),
                },
            )
            for number, block in enumerate(self.settings.public_ranges, 1)
        ]

    def operate(self) -> None:
        """Note that somebody operates on a router: from now on all takes its full time."""
        self.router_timing = self.settings.timing

    def _address_pool(self) -> list[Address]:
        """Return one record per public address, for ever; the first two serve the system VMs."""
        ips = [
            (subnet, str(IPv4Address(ip)))
            for subnet, block in enumerate(self.settings.public_ranges)
            for ip in range(int(block.first), int(block.last) + 1)
        ]
        pool = [Address(uuid=new_id(), number=n, ip=ip, subnet=subnet) for n, (subnet, ip) in enumerate(ips, 1)]
        for address in pool[:2]:
            address.state, address.account, address.allocated = "Allocated", self.system, self.clock.now()
        return pool

    def pause(self, seconds: float) -> None:
        """Wait as the zone's machines do; raises Stopping when the lab goes down meanwhile."""
        if self.clock.wait(self.stopping, seconds):
            raise Stopping

    def rolling(self) -> bool:
        """Return whether restarts put the new router beside the old one, by the global setting of the real server."""
        return str(self.configurations["network.rolling.restart"]["value"]).lower() == "true"

    def enforces_post(self) -> bool:
        return str(self.configurations[POST_ONLY]["value"]).lower() == "true"

    # -- ids and numbers

    def add(self, entity: E) -> E:
        """Give the entity a number, remember its id for ever and put it into its list; call with the lock held."""
        if isinstance(entity, Machine | Router):
            entity.number = next(self._instances)
        elif type(entity) in self._numbers:
            entity.number = next(self._numbers[type(entity)])
        entity.created = self.clock.now()
        self._known[entity.uuid] = entity
        self._list_of(entity).append(entity)
        return entity

    def remember(self, entity: Entity) -> None:
        """Make an id known that stands in no list (a job)."""
        self._known[entity.uuid] = entity

    def remove(self, entity: Entity) -> None:
        """Take the entity out of its list; its id stays known, as far as the server keeps what was removed."""
        entity.removed = True
        if isinstance(entity, PURGED):
            self._known.pop(entity.uuid, None)
        rows = self._list_of(entity)
        if entity in rows:
            rows.remove(entity)

    def _list_of(self, entity: Entity) -> list[Entity]:
        lists: dict[type[Entity], object] = {
            Network: self.networks,
            Vpc: self.vpcs,
            AclList: self.acl_lists,
            AclRule: self.acl_rules,
            Machine: self.machines,
            Router: self.routers,
            Rule: self.rules,
            KeyPair: self.keypairs,
            UserData: self.userdata,
            Tag: self.tags,
            Event: self.events,
            Domain: self.domains,
            Account: self.accounts,
            Project: self.projects,
        }
        if isinstance(entity, BuiltIn):
            lists[BuiltIn] = self.built_ins[entity.kind]
        rows: list[Entity] = lists[type(entity)]  # type: ignore[assignment]
        return rows

    def known(self, entity_id: str) -> Entity | None:
        """Return whatever ever had this id."""
        return self._known.get(entity_id)

    # -- finding

    def new_limits(self) -> dict[str, int]:
        """Return what an account or a project may have that is made now."""
        return dict(self.settings.account_limits)

    def owners(self) -> list[Account]:
        """Return all accounts that something may belong to, those of projects included."""
        return [*self.accounts, *(project.account for project in self.projects)]

    def account_named(self, name: str, domain: Domain | None) -> Account | None:
        return next((a for a in self.accounts if a.name == name and domain in (None, a.domain)), None)

    def machines_in(self, network: Network) -> list[Machine]:
        return [machine for machine in self.machines if machine.network is network]

    def routers_of(self, home: Served) -> list[Router]:
        return [router for router in self.routers if router.home is home]

    def networks_of(self, home: Served) -> list[Network]:
        """Return the tiers of a VPC, or the network itself."""
        return [network for network in self.networks if network.home is home]

    def addresses_of(self, home: Served) -> list[Address]:
        """Return an isolated network's addresses, or a VPC's, in use for a tier or not."""
        return [address for address in self.addresses if home in (address.network, address.vpc)]

    def source_nats(self, home: Served) -> list[Address]:
        return [address for address in self.addresses_of(home) if address.source_nat]

    def rules_where(self, holds: Callable[[Rule], bool]) -> list[Rule]:
        return [rule for rule in self.rules if holds(rule)]

    # -- handing out

    def take_address(self, account: Account, wanted: str | None = None, cs_code: int = errors.UNCLASSIFIED) -> Address:
        """Take the lowest free public address or the one wanted, now Allocating; raises ApiError 533 when taken."""
        candidates = (address for address in self.addresses if address.state == "Free")
        free = next((address for address in candidates if wanted in (None, "", address.ip)), None)
        if free is None:
            raise errors.no_address_left(cs_code)
        free.state, free.account, free.allocated = "Allocating", account, self.clock.now()
        free.taken = next(self._taken)
        return free

    def release_address(self, address: Address) -> None:
        """Put it back into the pool, with the same id."""
        address.state, address.account = "Free", None
        address.network, address.vpc = None, None
        address.source_nat, address.static_nat = False, None

    def taken_guest_ips(self, network: Network) -> set[str]:
        routers = (nic.ip for router in self.routers for nic in router.guests if nic.network is network)
        return {network.gateway, *routers, *(machine.nic.ip for machine in self.machines_in(network))}

    def free_guest_ip(self, network: Network) -> str | None:
        """Return any free address, at random as the server picks it; None when there is none."""
        taken = self.taken_guest_ips(network)
        free = [ip for ip in map(str, IPv4Network(network.cidr).hosts()) if ip not in taken]
        return self.random.choice(free) if free else None

    def new_mac(self, network: Network) -> str:
        """Return the next guest MAC of the network, as the server counts them."""
        network.macs += 1
        return _colons(0x0201 << 32 | (network.number & 0xFFFF) << 16 | network.macs & 0xFFFF)

    def new_public_mac(self, address: Address) -> str:
        """Return a public MAC: the address's own number behind a random byte, never that of the one before."""
        return _colons(0x1E00 << 32 | next(self._mac_bytes) << 24 | (0xC7 + address.number) & 0xFFFFFF)

    def new_nic(self, ip: str, mac: str) -> Nic:
        return Nic(uuid=new_id(), ip=ip, mac=mac)

    def choose_host(self) -> BuiltIn:
        """Return any host; all are alike here."""
        return self.random.choice(self.built_ins["host"])


def new_id() -> str:
    return str(uuid.uuid4())


def _colons(number: int) -> str:
    return number.to_bytes(6, "big").hex(":")
