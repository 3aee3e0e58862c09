"""What the lab did to its routers, and what did not work meanwhile."""

from __future__ import annotations

import pytest

from tests.lab.box import open_rules, router, vm
from tests.lab.no_ground import NoGround
from vrbench.lab.faults import Faults, make
from vrbench.lab.ground.port import GroundError
from vrbench.lab.ground.specs import RouterSpec, VmSpec
from vrbench.lab.packets.faulty_ground import FaultyGround
from vrbench.lab.packets.recording_ground import RecordingGround
from vrbench.lab.router_history import RouterAction, RouterHistory, TruePhase, true_phases
from vrbench.lab.status import Node

OPEN, END, VM = open_rules(), "198.51.100.20:22", "10.1.1.11"


def actions(*lines: str) -> tuple[RouterAction, ...]:
    """Return actions from "start r-1" lines, a second apart and 0.1 s long.

    "open r-1" programs all rules, "egress r-1" one.
    """
    made = [
        RouterAction("place_router", name, 0, 0, "net") for name in dict.fromkeys(line.split()[1] for line in lines)
    ]
    for second, line in enumerate(lines, 1):
        what, name = line.split()
        times = (second * 10, second * 10 + 1)
        if what in ("open", "egress"):
            made.append(RouterAction("program_router", name, *times, "", True, {END: VM} if what == "open" else {}))
        else:
            made.append(RouterAction(f"{what}_router", name, *times))
    return tuple(made)


def told(direction: str, phases: tuple[TruePhase, ...]) -> list[tuple[str, int, int]]:
    return [(p.cause, p.start_ns, p.end_ns) for p in phases if p.direction == direction]


def test_a_router_replaced_serially_is_gone_then_bare() -> None:
    """Between the routers nobody is there; then each direction waits for its own rules."""
    phases = true_phases(actions("start r-1", "open r-1", "stop r-1", "start r-2", "egress r-2", "open r-2"))
    assert told("egress", phases) == [("router gone", 30, 41), ("NAT missing", 40, 51)]
    assert told("ingress", phases) == [("router gone", 30, 41), ("firewall missing", 40, 61)]


def test_a_router_that_comes_up_beside_another_takes_its_traffic() -> None:
    """The new one announced itself, so what it lacks is lacking; that the old one goes changes nothing."""
    phases = true_phases(actions("start r-1", "open r-1", "start r-2", "open r-2", "stop r-1"))
    assert told("egress", phases) == [("NAT missing", 30, 41)]
    assert told("ingress", phases) == [("firewall missing", 30, 41)]


def test_what_never_worked_and_what_has_not_ended_is_no_phase() -> None:
    """The first boot is no outage, and an open end has no length."""
    assert true_phases(actions("start r-1", "open r-1", "stop r-1")) == ()


def test_networks_do_not_mix() -> None:
    """A second network's router changes nothing for the first."""
    first = actions("start r-1", "open r-1")
    second = tuple(RouterAction(d.what, "r-9", d.before_ns, d.after_ns, "other" if d.network else "") for d in first)
    assert true_phases((*first, *second)) == ()


def test_calls_are_passed_on_and_written_down() -> None:
    """What changes a router is noted with its times and what it opens; what is not of routers is only passed on."""
    ground, history = NoGround(), RouterHistory()
    wrapped = RecordingGround(ground, history)
    wrapped.add_network("net")
    wrapped.place_router(router())
    wrapped.start_router("r-1-VM")
    wrapped.program_router("r-1-VM", OPEN)
    assert [what for what, _ in ground.asked] == ["add_network", "place_router", "start_router", "program_router"]
    placed, started, programmed = history.actions()
    assert (placed.router, placed.network, started.router) == ("r-1-VM", "net", "r-1-VM")
    assert (programmed.egress, programmed.ingress) == (True, {END: VM, "198.51.100.30:22": "10.1.1.12"})
    assert placed.before_ns <= placed.after_ns <= started.before_ns
    assert [RouterAction(**d) for d in history.to_json()["deeds"]] == list(history.actions())


def switched(*lines: str, network: str = "net", guest: str = VM) -> tuple[RouterAction, ...]:
    """Faults of a guest from "on sshd-slow 30" lines, each switched within the unit that begins then."""
    split = [line.split() for line in lines]
    return tuple(
        RouterAction(what, "", int(at), int(at) + 1, network, fault=fault, guest=guest) for what, fault, at in split
    )


def test_a_guests_service_is_at_fault_from_on_to_off() -> None:
    """For the ends that lead to that guest alone; a fault that is still on has no length yet."""
    routers = actions("start r-1", "open r-1")
    faults = switched("on sshd-slow 30", "off sshd-slow 40", "on sshd-gone 50", "off sshd-gone 60", "on sshd-slow 70")
    phases = true_phases((*routers, *faults))
    assert phases == (
        TruePhase("net", "ingress", END, "service slow", 30, 41),
        TruePhase("net", "ingress", END, "service refuses", 50, 61),
    )
    assert true_phases((*routers, *switched("on sshd-slow 30", "off sshd-slow 40", guest="10.1.1.12"))) == ()
    assert true_phases((*routers, *switched("on sshd-slow 30", "off sshd-slow 40", network="other"))) == ()


class _Populated(NoGround):
    """A ground with one guest, while it stands, and no router."""

    stands = True

    def nodes(self) -> tuple[Node, ...]:
        return (Node(vm(1).name, "vm", (vm(1).ip,)),) if self.stands else ()

    def running_routers(self, network: str | None = None) -> tuple[str, ...]:
        del network
        return ()

    def vm(self, name: str) -> VmSpec:
        assert name == vm(1).name
        return vm(1)

    def renew_lease(self, name: str) -> None:
        raise GroundError(f"nobody answers {name}")


def test_a_guests_fault_is_noted_when_it_was_done() -> None:
    """On which guest, around the act; what could not be done is not noted."""
    history, guest, faults = RouterHistory(), vm(1), Faults()
    FaultyGround(_Populated(), faults, history)
    faults.start(make("lease-lost", {}))
    with pytest.raises(GroundError):
        faults.stop("lease-lost")
    (action,) = history.actions()
    assert (action.what, action.fault, action.guest, action.network) == ("on", "lease-lost", guest.ip, guest.network)
    assert action.before_ns <= action.after_ns


@pytest.mark.parametrize("named", ["", vm(1).name])
def test_a_fault_goes_with_its_guest(named: str) -> None:
    """Whoever switches it off once the guest is gone is not refused: the faults after it would stay on."""
    ground, faults = _Populated(), Faults()
    FaultyGround(ground, faults, RouterHistory())
    faults.start(make("lease-lost", {"vm": named}))
    ground.stands = False
    faults.stop("lease-lost")
    assert faults.now() == ()


def test_what_a_fault_leaves_out_is_not_noted_as_done() -> None:
    """Actions are what faults left of an order: rules missing, addresses on the wrong side, a router that stays."""
    history, faults = RouterHistory(), Faults()
    ground = FaultyGround(_Populated(), faults, history)
    ground.place_router(router())
    ground.start_router("r-1-VM")
    faults.start(make("rules-missing", {"what": "egress"}))
    ground.program_router("r-1-VM", OPEN)
    faults.stop("rules-missing")
    faults.start(make("two-routers", {}))
    ground.stop_router("r-1-VM")
    programmed = history.actions()[-1]
    assert (programmed.what, programmed.egress, END in programmed.ingress) == ("program_router", False, True)


@pytest.mark.parametrize(
    ("what", "egress", "ingress"), [("both", False, False), ("egress", False, True), ("ingress", True, False)]
)
def test_rules_that_come_late_come_to_a_new_router_once(what: str, egress: bool, ingress: bool) -> None:
    """It forwards without them first, then has them all; what is programmed again later never lacks any."""
    history, faults = RouterHistory(), Faults()
    ground = FaultyGround(_Populated(), faults, history)
    faults.start(make("rules-late", {"what": what, "seconds": "0"}))
    ground.place_router(router())
    ground.start_router("r-1-VM")
    ground.program_router("r-1-VM", OPEN)
    ground.program_router("r-1-VM", OPEN)
    programmed = [a for a in history.actions() if a.what == "program_router"]
    assert [(a.egress, END in a.ingress) for a in programmed] == [(egress, ingress), (True, True), (True, True)]


class _Broken(NoGround):
    def place_router(self, router: RouterSpec) -> None:
        raise GroundError(f"no room for {router.name}")


def test_what_failed_was_not_done() -> None:
    """The caller gets the ground's error, and no action is noted."""
    history = RouterHistory()
    with pytest.raises(GroundError):
        RecordingGround(_Broken(), history).place_router(router())
    assert history.actions() == ()
