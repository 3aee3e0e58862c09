"""What one lab zone is like: addresses, timings, limits and the way its routers are replaced."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from vrbench.lab.timing import Timing

SERVER_VERSIONS = ("4.9.3", "4.11.2", "4.15.1", "4.18.0", "4.20.2")
ROUTER_CHECK_S = 30.0
PUBLIC = IPv4Network("198.51.100.0/24")  # documentation range (RFC 5737)
GUEST = IPv4Network("10.1.1.0/24")


FIRST_VLAN = 50
SECOND = IPv4Network("192.0.2.0/24")  # the documentation range that the ground has a second switch for


@dataclass(frozen=True, slots=True)
class PublicRange:
    """Public addresses from ``first`` to ``last``, in a subnet with a gateway and a VLAN of its own."""

    cidr: IPv4Network
    gateway: IPv4Address
    first: IPv4Address
    last: IPv4Address
    vlan: int


SECOND_RANGE = PublicRange(SECOND, SECOND[1], SECOND[10], SECOND[50], 51)


@dataclass(frozen=True, slots=True)
class ZoneSettings:
    """Times in seconds; the address pool runs from ``public_first`` to ``public_last``, both inside ``public_cidr``.

    Addresses of ``more_public`` are taken when those before them are used up.
    """

    server_version: str = "4.20.2"  # one of SERVER_VERSIONS
    strategy: str = "parallel"  # a name in lab.strategies
    timing: Timing = field(default_factory=Timing)
    build_timing: Timing | None = None  # of routers until one is first restarted; None: the same
    public_cidr: IPv4Network = PUBLIC
    public_gateway: IPv4Address = PUBLIC[1]
    public_first: IPv4Address = PUBLIC[10]
    public_last: IPv4Address = PUBLIC[250]
    more_public: tuple[PublicRange, ...] = ()
    guest_cidr: IPv4Network = GUEST
    expunge_delay_s: float = 20.0  # a destroyed VM disappears this long after; the server's default is a day
    template_download_s: float = 5.0  # a registered template is ready this long after
    stats_interval_s: float = 60.0  # a VM's usage figures appear this long after its start
    router_check_s: float = ROUTER_CHECK_S  # how often the server asks redundant routers which of them is primary
    simulated_scale: float = 1.0  # of the delays that configureSimulator asks for
    rule_cost_s: float = 0.0  # how long the router takes for a rule; calls about rules wait for those before them
    api_step_s: float = 0.05  # the share of a short job that is not the router's: database, queue, agent
    account_limits: tuple[tuple[str, int], ...] = (
        ("user_vm", 20),
        ("public_ip", 20),
        ("volume", 20),
        ("snapshot", 20),
        ("template", 20),
        ("project", 10),
        ("network", 20),
        ("vpc", 20),
        ("cpu", 40),
        ("memory", 40960),
        ("primary_storage", 200),
        ("secondary_storage", 400),
    )  # of every account but the root administrator's, which has none; order = resource type number

    @property
    def public_ranges(self) -> tuple[PublicRange, ...]:
        """All public addresses, in the order in which they are taken."""
        first = PublicRange(self.public_cidr, self.public_gateway, self.public_first, self.public_last, FIRST_VLAN)
        return (first, *self.more_public)
