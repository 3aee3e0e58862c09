"""Whom the firewall lets in, and what this machine's way to the public addresses tells before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from unittest.mock import patch

import pytest

from tests.cloud.lab import a_way
from tests.cloud.server import Behaviour, fake_cloud, refuses, says
from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.check.own_address import allowed_source, check_source, is_translated, logged_in_from
from vrbench.cloud.credentials.credentials import Credentials
from vrbench.cloud.errors import CloudError
from vrbench.core.findings import Findings, FindingState
from vrbench.route import NoWay, Way

API = "http://127.0.0.1:8080/client/api"
OUTSIDE, INSIDE, LAB = "8.8.8.8", "10.9.0.1", "198.51.100.10"


def test_a_private_source_of_a_public_address_is_refused_with_the_setting() -> None:
    """Behind address translation the cloud sees another address than ours: the rule would let nobody in."""
    with a_way("192.168.1.7"), pytest.raises(CloudError, match=r"set environment\.source_cidr"):
        allowed_source("auto", OUTSIDE)


@pytest.mark.parametrize(
    ("source", "towards", "translated"),
    [
        ("192.168.1.7", INSIDE, False),
        ("1.1.1.1", OUTSIDE, False),
        ("192.168.1.7", OUTSIDE, True),
        ("100.64.3.4", OUTSIDE, True),  # of a provider that translates for all its customers
        ("172.17.0.2", OUTSIDE, True),  # of a container
    ],
)
def test_a_translation_is_known_by_both_ends(source: str, towards: str, translated: bool) -> None:
    """A private cloud may be reached from a private network, a public one from a public address only."""
    assert is_translated(source, towards) is translated


def test_the_source_is_this_machine_or_what_was_configured() -> None:
    """The routing table tells which of this machine's addresses the cloud will see; several go with commas."""
    with a_way("198.51.100.2"):
        assert allowed_source("auto", LAB) == "198.51.100.2/32"
        assert allowed_source("192.0.2.0/24", LAB) == "192.0.2.0/24"
        assert allowed_source("192.0.2.0/24,auto", LAB) == "192.0.2.0/24,198.51.100.2/32"


def test_without_a_way_the_setting_is_named() -> None:
    """Where it can't be told, it can be said."""
    with (
        patch("vrbench.cloud.check.own_address.way_to", _refuses("no route")),
        pytest.raises(CloudError, match=r"no way to 198\.51\.100\.10 \(no route\).*set environment\.source_cidr"),
    ):
        allowed_source("auto", LAB)


def _refuses(reason: str) -> object:
    def way_to(_address: str) -> Way:
        raise NoWay(reason)

    return way_to


@dataclass(frozen=True)
class Network:
    """A network this machine stands in: which addresses it reaches, and from where."""

    name: str
    ways: Mapping[str, Way | str]  # a way, or why there is none; what is not named has no route
    ipv4: bool = True
    ipv6: bool = False
    source_cidr: str = "auto"
    public: tuple[str, ...] = (LAB,)
    endpoint: str = API
    found: Mapping[str, FindingState] = field(default_factory=dict)  # all of them, by name
    words: str = ""

    def __str__(self) -> str:
        return self.name

    def way_to(self, address: str) -> Way:
        way = self.ways.get(address, "no route")
        if isinstance(way, str):
            raise NoWay(way)
        return way


OK, WARN, BAD = FindingState
NETWORKS = (
    Network("plain", {LAB: Way("198.51.100.2", 1500)}, found={"source": OK}, words="198.51.100.2"),
    Network("private cloud", {INSIDE: Way("10.1.0.7", 1500)}, public=(INSIDE,), found={"source": OK}),
    Network(
        "behind NAT",
        {OUTSIDE: Way("192.168.1.7", 1500)},
        public=(OUTSIDE,),
        found={"source": BAD},
        words="from the private address 192.168.1.7, so the cloud sees another one: set environment.source_cidr",
    ),
    Network(
        "behind NAT, and the outer address is named",
        {OUTSIDE: Way("192.168.1.7", 1500)},
        public=(OUTSIDE,),
        source_cidr="1.1.1.1/32",
        found={"source": OK},
        words="1.1.1.1/32 only",
    ),
    Network(
        "behind NAT, and the outer address is named beside our own",
        {OUTSIDE: Way("192.168.1.7", 1500)},
        public=(OUTSIDE,),
        source_cidr="auto,1.1.1.1/32",
        found={"source": BAD},
    ),
    Network(
        "behind NAT, and no public address is shown",
        {"1.0.0.1": Way("10.0.0.2", 1500)},
        public=(),
        endpoint="https://1.0.0.1/client/api",
        found={"source": BAD},
        words="this machine reaches 1.0.0.1 from the private address 10.0.0.2",
    ),
    Network("no public address is shown", {"127.0.0.1": Way("127.0.0.1", 65536)}, public=()),
    Network(
        "another address is named than this machine's",
        {LAB: Way("198.51.100.2", 1500)},
        source_cidr="203.0.113.0/24",
        found={"source": WARN},
        words="leaves out 198.51.100.2",
    ),
    Network(
        "one of several named networks holds this machine",
        {LAB: Way("198.51.100.2", 1500)},
        source_cidr="203.0.113.0/24,198.51.100.0/24",
        found={"source": OK},
    ),
    Network("no route", {}, found={"route": BAD}, words="no way to 1 of 1 public address that the network may get"),
    Network(
        "a firewall's route", {LAB: "a prohibiting route, or a firewall"}, found={"route": BAD}, words="prohibiting"
    ),
    Network(
        "no route to the second range",
        {LAB: Way("198.51.100.2", 1500)},
        public=(LAB, INSIDE),
        found={"route": WARN, "source": OK},
        words="1 of 2 public addresses that the network may get, such as 10.9.0.1: no route",
    ),
    Network(
        "IPv6 alone", {}, ipv4=False, ipv6=True, found={"route": BAD}, words="only IPv6, and needs IPv4 to the public"
    ),
    Network("IPv6 alone, no address shown", {}, ipv4=False, ipv6=True, public=(), found={"route": BAD}, words="IPv4"),
    Network("no network", {}, ipv4=False, found={"route": BAD}, words="has no network"),
    Network(
        "a narrow tunnel",
        {LAB: Way("10.8.0.2", 576)},
        found={"route": WARN, "source": OK},
        words="576 bytes only",
    ),
    Network(
        "two interfaces",
        {LAB: Way("198.51.100.2", 1500), INSIDE: Way("10.1.0.7", 1500)},
        public=(LAB, INSIDE),
        found={"source": OK},
        words="opened for 10.1.0.7, 198.51.100.2 only",
    ),
    Network(
        "the whole world",
        {LAB: Way("198.51.100.2", 1500)},
        source_cidr="0.0.0.0/0",
        found={"source": OK},
        words="lets 4294967296 addresses in",
    ),
)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_a_network_is_known_before_anything_is_built(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is certain stops a run, what is not warns, and all else says whom the firewall will let in."""
    found = Findings()
    monkeypatch.setattr("vrbench.cloud.check.own_address.way_to", network.way_to)
    monkeypatch.setattr("vrbench.cloud.check.own_address.has_ipv4", lambda: network.ipv4)
    monkeypatch.setattr("vrbench.cloud.check.own_address.has_ipv6", lambda: network.ipv6)
    monkeypatch.setattr("vrbench.cloud.check.own_address.logged_in_from", lambda _: "")
    check_source(network.source_cidr, network.public, Cloud(Credentials(network.endpoint, "k", "s")), found)
    assert {finding.name: finding.state for finding in found.all} == network.found
    assert network.words in " ".join(finding.sentence for finding in found.all)


def event(description: str) -> Behaviour:
    return says("listEvents", {"count": 1, "event": [{"id": "e", "type": "USER.LOGIN", "description": description}]})


@pytest.mark.parametrize(
    ("answer", "address"),
    [
        (event("user has logged in from IP Address /9.9.9.9"), "9.9.9.9"),  # as newer servers write it
        (event("user has logged in from IP Address 9.9.9.9"), "9.9.9.9"),
        (
            event("user has logged in from IP Address /10.1.1.1"),
            "",
        ),  # of a proxy before the server, or the same network
        (event("user has logged in from IP Address 999.9.9.9"), ""),
        (event("user has logged in. The IP Address cannot be determined"), ""),
        (says("listEvents", {}), ""),
        (refuses("listEvents", 432, "The given command does not exist"), ""),
    ],
)
def test_the_last_login_to_the_web_interface_is_a_hint(answer: Behaviour, address: str) -> None:
    """Somebody's browser may stand behind the same translation; an inner address tells nothing."""
    with fake_cloud(answer) as fake:
        assert logged_in_from(Cloud(fake.credentials())) == address


def test_a_refusal_gives_the_hint() -> None:
    """One call more, and only where the run is refused."""
    found = Findings()
    with fake_cloud(event("user has logged in from IP Address /9.9.9.9")) as fake, a_way("192.168.1.7"):
        check_source("auto", (OUTSIDE,), Cloud(fake.credentials()), found)
        check_source("1.1.1.1/32", (OUTSIDE,), Cloud(fake.credentials()), Findings())
    assert len(fake.requests) == 1
    assert "last logged in to the web interface from 9.9.9.9, which it may be" in found.problems[0].cure
