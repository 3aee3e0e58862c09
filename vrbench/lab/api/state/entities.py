"""What exists in the zone: the rows behind the API's answers.

These are the zone's state and change only under its lock; everything else in the lab works on frozen values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event as Flag
from threading import Lock
from typing import Any

from vrbench.lab.api.state.fifo_lock import FifoLock

Json = dict[str, Any]  # one object of an answer, on its way out


@dataclass(slots=True, kw_only=True, eq=False)
class Entity:
    """Anything with an id. Ids of removed entities stay known: the server answers differently for them."""

    uuid: str
    number: int = 0  # the database id that shows in names and error texts
    created: float = 0.0  # seconds since the epoch
    removed: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class BuiltIn(Entity):
    """An offering, template, host, zone …: a body as the root administrator sees it."""

    kind: str
    body: Json
    account: Account | None = None  # whose it is, of templates that somebody registered


@dataclass(slots=True, kw_only=True, eq=False)
class Domain(Entity):
    body: Json
    limits: dict[str, int] = field(default_factory=dict)  # of all its accounts together, by resource type

    @property
    def name(self) -> str:
        return str(self.body["name"])

    @property
    def path(self) -> str:
        """As most answers give it: "/" or "/ops/"."""
        return f"{str(self.body['path']).removeprefix('ROOT')}/"

    def holds(self, other: Domain) -> bool:
        """Return whether the other is this one or lies below it."""
        return f"{other.body['path']}/".startswith(f"{self.body['path']}/")


@dataclass(slots=True, kw_only=True, eq=False)
class Account(Entity):
    name: str
    role: str  # root, domadmin, user; project: nobody's keys
    domain: Domain
    body: Json
    apikey: str = field(repr=False)
    secretkey: str = field(repr=False)
    limits: dict[str, int]
    limit_changes: list[str] = field(default_factory=list)  # resource types with a limit of their own, in order
    state: str = "enabled"  # locked, disabled
    project: Project | None = None  # whose account it is

    @property
    def user(self) -> Json:
        user: Json = self.body["user"]
        return user

    @property
    def is_root(self) -> bool:
        return self.role == "root"


@dataclass(slots=True, kw_only=True, eq=False)
class Project(Entity):
    """What several accounts share: its things belong to an account of its own, which nobody calls as."""

    name: str
    displaytext: str
    account: Account
    owner: Account
    members: list[Account]  # its owner is one of them
    state: str = "Active"  # Suspended


@dataclass(slots=True, kw_only=True, eq=False)
class Owned(Entity):
    account: Account


@dataclass(slots=True, kw_only=True, eq=False)
class Served(Owned):
    """What virtual routers serve: an isolated network, or a VPC with all its tiers."""

    name: str
    displaytext: str
    offering: BuiltIn
    cidr: str
    domain_name: str
    redundant: bool = False  # two routers instead of one
    restart_required: bool = False
    implement_tried: bool = False  # from then on a network with two source-NAT addresses can't be removed
    restarts: FifoLock = field(default_factory=FifoLock)
    implementing: Lock = field(default_factory=Lock)  # one implementation, restart or deletion at a time
    programming: Lock = field(default_factory=Lock)  # the last rules built are the last rules applied
    changes: int = 0  # times that somebody asked for its routers to be brought up to date
    programmed: int = 0  # of those, how many had asked when they last were
    last_turn: Flag | None = None  # set once all rules that were asked for are on the router

    @property
    def home(self) -> Served:
        """What its routers serve: itself, unless it is a tier."""
        return self


@dataclass(slots=True, kw_only=True, eq=False)
class Vpc(Served):
    state: str = "Enabled"  # from the first moment on; Inactive while it is being deleted
    dns: tuple[str, ...] = ()
    displayed: bool = True


@dataclass(slots=True, kw_only=True, eq=False)
class Network(Served):
    """An isolated network with routers of its own, or a tier, served by the routers of its VPC."""

    gateway: str
    netmask: str
    prefix: int
    vlan: int
    vpc: Vpc | None = None
    acl: AclList | None = None
    state: str = "Allocated"
    dns: tuple[str, ...] = ()  # resolvers of its own, instead of the zone's
    displayed: bool = True
    external_id: str = ""
    macs: int = 0  # MACs given out so far

    @property
    def home(self) -> Served:
        return self.vpc or self


@dataclass(slots=True, kw_only=True, eq=False)
class AclList(Entity):
    """Rules for the tiers of one VPC; the two built-in lists serve every VPC."""

    name: str
    description: str
    vpc: Vpc | None = None  # without one it is for all VPCs, and root's
    default: bool = False  # built in: nobody may change it


@dataclass(slots=True, kw_only=True, eq=False)
class AclRule(Entity):
    acl: AclList
    place: int  # rules are looked at in this order
    protocol: str
    traffic: str  # Ingress, Egress
    action: str  # Allow, Deny
    cidrs: tuple[str, ...]
    ports: tuple[int, int] | None = None
    icmp: tuple[int, int] | None = None
    reason: str = ""
    state: str = "Add"


@dataclass(slots=True, kw_only=True, eq=False)
class Nic(Entity):
    ip: str
    mac: str


@dataclass(slots=True, kw_only=True, eq=False)
class GuestNic(Nic):
    """A router's leg in a guest network. Of a redundant router it has an address beside the gateway's."""

    network: Network
    plugged_late: bool = False  # into a router that ran already


@dataclass(slots=True, kw_only=True, eq=False)
class PublicNic(Nic):
    """A router's leg in a public subnet beside that of its source-NAT address."""

    subnet: int


@dataclass(slots=True, kw_only=True, eq=False)
class Machine(Owned):
    name: str
    displayname: str
    network: Network
    nic: Nic
    offering: BuiltIn
    template: BuiltIn
    volume: str  # id of its root volume
    state: str = "Stopped"
    host: BuiltIn | None = None
    keypairs: tuple[str, ...] = ()
    public_keys: tuple[str, ...] = ()
    user_data: bytes = b""
    protected: bool = False  # against being destroyed
    registered: UserData | None = None  # where the user data is from, if it was registered
    user_data_details: str | None = None  # values for its parameters
    updated: float | None = None  # of the last change of state
    node: str = ""  # its name on the ground: the host name, where no other live VM has it
    on_ground: bool = False

    @property
    def instance_name(self) -> str:
        return f"i-{self.account.number}-{self.number}-VM"


@dataclass(slots=True, kw_only=True, eq=False)
class Router(Owned):
    home: Served
    guests: list[GuestNic]  # one for each network that it is plugged into; a VPC's router may have none
    control: Nic  # its address is empty while the router is down
    public: Nic
    source_nat: str
    subnet: int = 0  # of the source-NAT address
    more_public: list[PublicNic] = field(default_factory=list)
    state: str = "Stopped"
    host: BuiltIn | None = None
    pod_known: bool = False  # from the first start on
    version: str = "UNKNOWN"
    scripts_version: str | None = None
    volume: str = ""
    redundant: bool = False
    redundant_state: str = "UNKNOWN"  # as the server saw it last: it looks every half minute

    @property
    def name(self) -> str:
        return f"r-{self.number}-VM"

    @property
    def guest(self) -> GuestNic | None:
        """The leg that stands for all in short views: the first."""
        return self.guests[0] if self.guests else None


@dataclass(slots=True, kw_only=True, eq=False)
class Address(Entity):
    """A public address keeps its id for ever, whoever owns it."""

    ip: str
    subnet: int = 0  # which of the zone's public ranges it is of
    state: str = "Free"  # Free, Allocating, Allocated, Releasing
    account: Account | None = None
    network: Network | None = None
    vpc: Vpc | None = None
    source_nat: bool = False
    static_nat: Machine | None = None
    allocated: float = 0.0
    taken: int = 0  # counts up with every address taken from the pool


@dataclass(slots=True, kw_only=True, eq=False)
class Rule(Owned):
    """A firewall, egress, port-forwarding or load-balancer rule."""

    purpose: str  # Firewall, Egress, PortForwarding, LoadBalancing
    network: Network
    protocol: str
    address: Address | None = None
    ports: tuple[int, int] | None = None
    cidrs: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    icmp: tuple[int, int] | None = None
    machine: Machine | None = None
    private_ports: tuple[int, int] | None = None
    guest_ip: str = ""
    name: str = ""  # of a load-balancer rule, as are the next three
    description: str = ""
    algorithm: str = ""
    members: list[Machine] = field(default_factory=list)
    companion_of: Rule | None = None  # the forwarding rule that this opening came and goes with
    state: str = "Add"


@dataclass(slots=True, kw_only=True, eq=False)
class KeyPair(Owned):
    name: str
    public_key: str
    fingerprint: str


@dataclass(slots=True, kw_only=True, eq=False)
class UserData(Owned):
    name: str
    content: str  # in base64
    params: str | None  # names of its variables, separated by commas


@dataclass(slots=True, kw_only=True, eq=False)
class Tag(Owned):
    key: str
    value: str
    resource_type: str
    resource: str
    customer: str = ""


@dataclass(slots=True, kw_only=True, eq=False)
class Event(Owned):
    username: str
    type: str
    state: str
    level: str
    description: str
    resource_type: str | None = None
    resource: str | None = None
    resource_name: str | None = None
    parent: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Job(Owned):
    command_class: str
    instance_type: str | None = None
    instance: str | None = None
    status: int = 0  # 0 pending, 1 done, 2 failed
    code: int = 0
    result: Json | None = None
    completed: float = 0.0
