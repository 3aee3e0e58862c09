"""The kinds of probe, one row each: whatever the rest of vrbench needs to know of a kind stands in its row.

From the table come the keys of ``[probes]``, the words of the method's id, the streams of a trial and what they cost,
the rows and columns of tables, of the live view and of exports, the colours, and what a calibration compares. A new
kind is one row here and one prober: an entry of ``probes.prober.PROBERS``, or for guests a branch of their agent.

Raw logs and the facts of a trial spell a kind by two words, ``probe`` and ``flow``. They stay as they are on disk;
``kind_of`` maps them to the kind.
"""

from __future__ import annotations

from enum import Enum, StrEnum, auto

from msgspec import Struct


class Direction(StrEnum):
    """Which way a stream crosses the router; control streams do not cross it, and router ones end in it.

    What ends in the router is evidence of causes only: it enters no figure and no verdict.
    """

    EGRESS = "egress"
    INGRESS = "ingress"
    CONTROL = "control"
    ROUTER = "router"


class Layer(Enum):
    """Who must work for a probe to be answered."""

    NETWORK = auto()  # the path alone
    GREETING = auto()  # a service: its first words
    LOGIN = auto()  # a service: a whole login
    NAMES = auto()  # the router's resolver
    SESSION = auto()  # a connection that stood before


class Aim(Enum):
    """Who probes what: one stream for each of these targets."""

    OUTSIDE = auto()  # every guest: the address outside that the profile names
    PEER = auto()  # every guest: the next guest; the harness: the control target
    GATEWAY = auto()  # every guest: its default gateway
    RESOLVER = auto()  # every guest: the resolver that the router offers
    PUBLIC_END = auto()  # the harness: every public address and port
    GUEST = auto()  # the harness: every guest, through the public end by which it is reached


class Interval(Struct, frozen=True):
    """A key of ``[probes]`` that says how often a kind probes.

    ``least_s`` is the least that is allowed, ``reason`` why. ``letter`` stands for it in the method's id; an interval
    without one stands at the kind's own word there.
    """

    key: str
    default_s: float
    help: str
    least_s: float = 0.0
    reason: str = ""
    letter: str = ""


class Footprint(Struct, frozen=True):
    """What a kind costs beside its packets.

    Per probe: ``connections`` to sshd, ``sshd`` processes that they start, and how long the router remembers the flow
    that the probe opened (``remembered_s``; 0: none of its own). Per target: ``kept`` connections that stay open,
    ``flows`` that stay in use; ``ports``: the flows are those of the local ports that are used in turn.
    """

    connections: int = 0
    sshd: int = 0
    remembered_s: float = 0.0
    kept: int = 0
    flows: int = 0
    ports: bool = False


class Labels(Struct, frozen=True):
    """What a kind is called where people read; empty: it does not appear there.

    ``name``: in a list of kinds. ``row``: in the tables of a report. ``column``: of the live view. ``export``: the
    beginning of the columns of exports that hold its figures. ``colour``: in pictures. ``claim``: what a tenant has of
    its outage, in the sentence that answers first; the last word is its verb.
    """

    name: str
    row: str = ""
    column: str = ""
    export: str = ""
    colour: str = ""
    claim: str = ""


EVERY = Interval("interval", 0.1, "between probes of a stream (icmp, syn)", letter="i")
REMEMBERED_ICMP_S = REMEMBERED_UDP_S = 30.0  # Linux's defaults, nf_conntrack_*_timeout
REMEMBERED_TCP_S = 120.0  # a connection that was closed in good order: TIME_WAIT


class ProbeKind(Struct, frozen=True):
    """One kind of probe.

    ``key`` is its word in the method's id and among the costs, ``switch`` the key of ``[probes]`` that turns it on
    (empty: it is on wherever it has a target). ``prober`` sends it. ``headline``: it makes the headline figures; other
    kinds that cross the router are reported beside them. ``awaited``: a trial waits until it has recovered. ``lags``:
    it may stay away although its path is back, and is then waited for only so long (``probes.old_flow_grace``).
    ``leads``: it is the finest of its path, and its causes hold for the others. ``patience_s``: how long an answer is
    waited for once the connection stands. ``finest_s`` and ``most_per_s`` keep it from probing more often than it
    needs.
    """

    key: str
    direction: Direction
    layer: Layer
    probe: str
    flow: str
    aim: Aim
    prober: str
    labels: Labels
    switch: str = ""
    help: str = ""
    interval: Interval = EVERY
    footprint: Footprint = Footprint()
    headline: bool = False
    awaited: bool = True
    lags: bool = False
    leads: bool = False
    logs_in: bool = False
    patience_s: float = 0.0
    start_s: float = 20.0  # how long its prober may take to send its first probe, on a busy machine
    finest_s: float = 0.0
    most_per_s: float = float("inf")

    @property
    def crosses(self) -> bool:
        """Whether its probes cross the router."""
        return self.direction in (Direction.EGRESS, Direction.INGRESS)

    @property
    def is_service(self) -> bool:
        """Whether an answer takes a service: a guest's sshd, or the router's resolver."""
        return self.layer in (Layer.GREETING, Layer.LOGIN, Layer.NAMES)

    @property
    def new_flows(self) -> bool:
        """Whether each probe is a flow that the router has not seen before."""
        return self.flow == "fresh"

    def stream_name(self, place: str) -> str:
        """Return the name of its stream at a guest or a public end: icmp-egress/vm1/fresh, dns/vm1."""
        return f"{self.probe}/{place}" if self.key == self.probe else f"{self.probe}/{place}/{self.flow}"


ICMP_FRESH = ProbeKind(
    "icmp.fresh",
    Direction.EGRESS,
    Layer.NETWORK,
    probe="icmp-egress",
    flow="fresh",
    aim=Aim.OUTSIDE,
    prober="icmp",
    labels=Labels(
        "egress fresh", "egress, new pings", "out new", "egress_fresh", "#0b6e99", "new connections from VMs fail"
    ),
    switch="icmp_fresh",
    help="probe egress by pings of which each is a new flow",
    footprint=Footprint(remembered_s=REMEMBERED_ICMP_S),
    headline=True,
    leads=True,
)
ICMP_PERSISTENT = ProbeKind(
    "icmp.persistent",
    Direction.EGRESS,
    Layer.NETWORK,
    probe="icmp-egress",
    flow="persistent",
    aim=Aim.OUTSIDE,
    prober="icmp",
    labels=Labels(
        "egress persistent", "egress, ongoing ping", "out old", "egress_persistent", "#53a38c", "ongoing pings fail"
    ),
    switch="icmp_persistent",
    help="probe egress by pings that are one flow all the time",
    footprint=Footprint(flows=1),
    headline=True,
    lags=True,
)
SSH_SYN = ProbeKind(
    "ssh.syn",
    Direction.INGRESS,
    Layer.NETWORK,
    probe="ssh-ingress",
    flow="syn",
    aim=Aim.PUBLIC_END,
    prober="syn",
    labels=Labels("ingress syn", "ingress, TCP", "in TCP", "ingress_syn", "#d98c21", "TCP from outside fails"),
    switch="syn",
    help="probe ingress by half-open TCP connections, which never reach sshd",
    footprint=Footprint(flows=1, ports=True),
    headline=True,
    leads=True,
)
SSH_BANNER = ProbeKind(
    "ssh.banner",
    Direction.INGRESS,
    Layer.GREETING,
    probe="ssh-ingress",
    flow="banner",
    aim=Aim.PUBLIC_END,
    prober="banner",
    labels=Labels(
        "ingress banner", "ingress, SSH service", "in SSH", "ingress_banner", "#7d6bb0", "SSH from outside fails"
    ),
    switch="banner",
    help="probe ingress by the SSH banner",
    interval=Interval(
        "banner_interval",
        0.25,
        "between SSH banner probes; each costs the guest a process",
        0.1,
        "every banner costs the guest's sshd a process",
        "b",
    ),
    footprint=Footprint(connections=1, sshd=1, remembered_s=REMEMBERED_TCP_S),
    headline=True,
    lags=True,
    patience_s=2.0,
)
TCP_SESSION = ProbeKind(
    "tcp.session",
    Direction.INGRESS,
    Layer.SESSION,
    probe="tcp-ingress",
    flow="established",
    aim=Aim.GUEST,
    prober="session",
    labels=Labels("ingress session"),
    switch="session",
    help="keep an SSH session with every VM, and see whether it survives",
    footprint=Footprint(kept=1, flows=1),
    awaited=False,  # a session that was cut never recovers, and that is a result
    logs_in=True,
    start_s=90.0,  # sessions are opened before the first probe, each with a key exchange
    # An echo costs this machine about half a millisecond, fifty times what a ping does, and it need not be finer: what
    # it tells is whether and when, and TCP itself waits for 200 ms at least before it sends again.
    finest_s=0.1,
    most_per_s=400.0,
)
DNS = ProbeKind(
    "dns",
    Direction.EGRESS,
    Layer.NAMES,
    probe="dns",
    flow="resolver",
    aim=Aim.RESOLVER,
    prober="dns",
    labels=Labels("router's DNS", "router's DNS", export="dns"),
    switch="dns",
    help="let every VM ask the router's resolver",
    interval=Interval(
        "dns_interval",
        0.5,
        "between questions to the router's resolver",
        0.05,
        "every question costs the router's resolver a look-up",
        "d",
    ),
    footprint=Footprint(remembered_s=REMEMBERED_UDP_S),
)
SSH_AUTH = ProbeKind(
    "ssh.auth",
    Direction.INGRESS,
    Layer.LOGIN,
    probe="ssh-ingress",
    flow="auth",
    aim=Aim.PUBLIC_END,
    prober="auth",
    labels=Labels("ingress login"),
    switch="auth",
    help="log in by SSH at every public end, now and then",
    interval=Interval(
        "auth_interval",
        10.0,
        "between full SSH logins; each costs the guest three processes",
        1.0,
        "every login costs the guest's sshd three processes and a signature",
        "a",
    ),
    footprint=Footprint(connections=1, sshd=3, remembered_s=REMEMBERED_TCP_S),
    lags=True,
    logs_in=True,
    patience_s=5.0,
)
CONTROL = ProbeKind(
    "control",
    Direction.CONTROL,
    Layer.NETWORK,
    probe="control",
    flow="fresh",
    aim=Aim.PEER,
    prober="icmp",
    labels=Labels("control"),
    help="ping beside the router, never through it: VM to VM, and from here the control target",
)
GATEWAY = ProbeKind(
    "gateway",
    Direction.ROUTER,
    Layer.NETWORK,
    probe="gateway",
    flow="persistent",
    aim=Aim.GATEWAY,
    prober="icmp",
    labels=Labels("gateway"),
    switch="gateway",
    help="let every VM ping its gateway: no figure, but evidence of causes",
    footprint=Footprint(flows=1),
    awaited=False,
    finest_s=0.05,  # it is evidence of causes, and no figure needs it finer
)

KINDS = (ICMP_FRESH, ICMP_PERSISTENT, SSH_SYN, SSH_BANNER, TCP_SESSION, DNS, SSH_AUTH, CONTROL, GATEWAY)
HEADLINE = tuple(kind for kind in KINDS if kind.headline)
ROWS = tuple(sorted(HEADLINE, key=lambda kind: (kind.direction, kind.new_flows)))  # the ongoing flow first, as in 2018
IN_2018 = (ICMP_PERSISTENT, SSH_BANNER)  # what the published figures of that year are of
BESIDE = tuple(kind for kind in KINDS if kind.crosses and not kind.headline)
_BY_WORDS = {(kind.probe, kind.flow): kind for kind in KINDS}


class UnknownKind(ValueError):
    """Two words of a raw log or of facts that stand for no kind of probe known here."""


def kind_of(probe: str, flow: str) -> ProbeKind:
    """Return the kind that raw logs and facts spell by these two words. Raises UnknownKind."""
    try:
        return _BY_WORDS[probe, flow]
    except KeyError:
        raise UnknownKind(
            f"probe {probe!r} with flow {flow!r} is of no known kind: read it with the version that wrote it"
        ) from None
