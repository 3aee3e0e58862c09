"""Which evidence supports which cause, and which does not."""

from __future__ import annotations

import random

import pytest

from tests.core.causes import (
    FAILED,
    GUEST_TTL,
    NEW,
    OLD,
    REACHABLE,
    ROUTER_TTL,
    STALE,
    UP,
    Log,
    analysed,
    causes,
    down,
    fills,
    guest,
    harness,
    one,
    told,
)
from vrbench.core.causes.attribution import in_words, seconds_by_cause
from vrbench.core.caveats import CaveatKind
from vrbench.core.kinds import ICMP_FRESH, SSH_SYN
from vrbench.core.log.rawlog import Refusal
from vrbench.core.model import Cause, CausePhase, Direction

AT_FIRST = (-9.9, OLD, REACHABLE)
ADMIN_PROHIBITED, RST, CLOSED = 0x030D, 1, 2
END, OTHER = "198.51.100.11:22", "198.51.100.12:22"


def replaced(log: Log, at_s: float = 2.0) -> Log:
    """Return a log whose gateway moved when the new router announced itself."""
    log.entries += [AT_FIRST, (at_s, NEW, STALE)]
    return log


def test_a_router_replaced_serially() -> None:
    """Nobody answers, then the new one answers its guests but passes nothing, and each end waits for its own rule."""
    trial = analysed(
        replaced(guest("vm1", down(1, 3), gateway=down(1, 2))),
        replaced(guest("vm2", down(1, 3), gateway=down(1, 2))),
        harness(down(1, 4), other=down(1, 4.5)),
    )
    assert told(one(trial, "vm1", "fresh")) == [("router gone", 1.0, 2.0), ("NAT missing", 2.0, 3.0)]
    assert told(one(trial, "harness", "syn", END)) == [("router gone", 1.0, 2.0), ("firewall missing", 2.0, 4.0)]
    assert told(one(trial, "harness", "syn", OTHER)) == [("router gone", 1.0, 2.0), ("firewall missing", 2.0, 4.5)]
    assert one(trial, "vm1", "fresh").cause == "router gone 1.00 s, NAT missing 1.00 s"


def test_a_router_that_comes_up_beside_the_old_one() -> None:
    """The gateway never stops answering: what is missing is missing on the new router."""
    trial = analysed(replaced(guest("vm1", down(2.1, 3), gateway=UP)), harness(down(2.1, 3.2)))
    assert told(one(trial, "vm1", "fresh")) == [("NAT missing", 2.1, 3.0)]
    assert told(one(trial, "harness", "syn")) == [("firewall missing", 2.1, 3.2)]


def test_a_router_that_reboots_keeps_its_address() -> None:
    """No entry moves; that it answers again is when it came into view."""
    rebooted = guest("vm1", down(1, 3), gateway=down(1, 2))
    rebooted.entries.append(AT_FIRST)
    trial = analysed(rebooted, harness(down(1, 3)))
    assert told(one(trial, "vm1", "fresh")) == [("router gone", 1.0, 2.0), ("NAT missing", 2.0, 3.0)]
    assert told(one(trial, "harness", "syn")) == [("router gone", 1.0, 2.0), ("firewall missing", 2.0, 3.0)]


def test_the_announcement_is_the_finer_time() -> None:
    """The gateway's next answer came 100 ms after it had announced itself: it was there from then on."""
    trial = analysed(replaced(guest("vm1", down(1, 3), gateway=down(1, 2.1)), 2.03))
    assert told(one(trial, "vm1", "fresh")) == [("router gone", 1.0, 2.03), ("NAT missing", 2.03, 3.0)]


def test_a_guest_with_a_stale_entry() -> None:
    """One guest still sends to the old address while the other reaches the router at its new one."""
    left_behind = guest("vm1", down(1, 4), gateway=down(1, 4))
    left_behind.entries += [AT_FIRST, (3.95, 0, FAILED), (3.98, NEW, REACHABLE)]
    trial = analysed(
        left_behind, replaced(guest("vm2", down(1, 2), gateway=UP), 1.0), harness(down(1, 4), other=down(1, 2)),
        behind={END: "vm1", OTHER: "vm2"},
    )  # fmt: skip
    assert told(one(trial, "vm1", "fresh")) == [("stale ARP", 1.0, 3.98), ("unattributed", 3.98, 4.0)]
    assert told(one(trial, "vm2", "fresh")) == [("NAT missing", 1.0, 2.0)]
    assert told(one(trial, "harness", "syn", END)) == [("stale ARP", 1.0, 3.98), ("unattributed", 3.98, 4.0)]
    assert told(one(trial, "harness", "syn", OTHER)) == [("firewall missing", 1.0, 2.0)]


def test_a_guest_that_is_cut_off_says_nothing_of_rules() -> None:
    """Without its neighbour entries nobody knows why a guest does not reach the router: its public end may be open."""
    trial = analysed(
        guest("vm1", down(1, 4), gateway=down(1, 4)),
        replaced(guest("vm2", down(1, 2), gateway=UP), 1.0), harness(down(1, 4), other=down(1, 2)),
        behind={END: "vm1", OTHER: "vm2"},
    )  # fmt: skip
    assert causes(one(trial, "harness", "syn", END)) == ["unattributed"]
    assert causes(one(trial, "harness", "syn", OTHER)) == ["firewall missing"]


def test_two_routers_at_work_are_no_stale_entry() -> None:
    """A guest that comes back through the address it always sent to had nothing to learn."""
    kept = guest("vm1", down(1, 3), gateway=down(1, 3))
    kept.entries.append(AT_FIRST)
    trial = analysed(kept, replaced(guest("vm2", UP, gateway=UP), 1.0))
    assert causes(one(trial, "vm1", "fresh")) == ["unattributed"]


def test_a_gateway_that_others_reach_is_not_gone() -> None:
    """One guest's silence is its own, while another reaches the same router."""
    lonely, other = (
        guest(name, down(1, 3) if name == "vm1" else UP, gateway=g) for name, g in (("vm1", down(1, 3)), ("vm2", UP))
    )
    for log in (lonely, other):
        log.entries.append(AT_FIRST)
    assert causes(one(analysed(lonely, other), "vm1", "fresh")) == ["unattributed"]


def test_only_the_router_that_stays_can_lack_anything() -> None:
    """While the entry points at a router through which the path does not recover, nothing is claimed of either."""
    flapping = guest("vm1", down(1, 3), gateway=UP)
    flapping.entries += [AT_FIRST, (1.0, NEW, STALE), (2.0, OLD, STALE)]
    assert told(one(analysed(flapping), "vm1", "fresh")) == [("unattributed", 1.0, 2.0), ("NAT missing", 2.0, 3.0)]


def test_whose_entry_is_stale_must_be_known() -> None:
    """Where nobody knows which guest is behind a public end, a stale guest may be why: no other cause is claimed."""
    left_behind = guest("vm1", down(1, 4), gateway=down(1, 4))
    left_behind.entries += [AT_FIRST, (3.98, NEW, STALE)]
    trial = analysed(left_behind, replaced(guest("vm2", down(1, 2), gateway=UP), 1.0), harness(down(1, 4)))
    assert causes(one(trial, "harness", "syn")) == ["unattributed"]


def test_a_gateway_found_only_by_asking_may_have_been_there() -> None:
    """A lone guest that asked anew finds another router: until it asked, gone and not announced look the same."""
    lone = guest("vm1", down(1, 4), gateway=down(1, 4))
    lone.entries += [AT_FIRST, (2.0, OLD, FAILED), (3.95, NEW, REACHABLE)]
    assert told(one(analysed(lone), "vm1", "fresh")) == [
        ("unattributed", 1.0, 2.0), ("router gone", 2.0, 2.95), ("unattributed", 2.95, 4.0),
    ]  # fmt: skip


def test_a_router_that_is_heard_was_asked_for_in_vain_until_then() -> None:
    """An announcement to a guest that is asking is no answer: its time is the router's, to the millisecond."""
    asking = guest("vm1", down(1, 4), gateway=down(1, 4))
    asking.entries += [AT_FIRST, (2.0, OLD, FAILED), (3.95, NEW, STALE)]
    assert told(one(analysed(asking), "vm1", "fresh"))[:2] == [("unattributed", 1.0, 2.0), ("router gone", 2.0, 3.95)]


def test_where_every_guest_is_stale_nobody_knows_of_a_router() -> None:
    """Each gave up on the old address and asked, and was answered at once: the router may have been there all along."""
    logs = [guest(name, down(1, 3.1), gateway=down(1, 3.1)) for name in ("vm1", "vm2")]
    for log in logs:
        log.entries += [AT_FIRST, (3.0, OLD, FAILED), (3.02, NEW, REACHABLE)]
    trial = analysed(*logs, harness(down(1, 3.1)), behind={END: "vm1"})
    assert {Cause.ROUTER_GONE, Cause.STALE_ARP}.isdisjoint(seconds_by_cause(trial.streams))


def test_one_guest_that_heard_the_next_router_speaks_for_all() -> None:
    """A public end was out of reach because there was no router, though the other guest found it only by asking."""
    asked = guest("vm1", down(1, 3), gateway=down(1, 3))
    asked.entries += [AT_FIRST, (2.9, OLD, FAILED), (2.95, NEW, REACHABLE)]
    trial = analysed(asked, replaced(guest("vm2", down(1, 2), gateway=down(1, 2))), harness(down(1, 2)))
    assert told(one(trial, "harness", "syn")) == [("router gone", 1.0, 2.0)]


def test_an_old_flow_that_stays_dead() -> None:
    """New flows pass again; the old one was bound without NAT."""
    trial = analysed(replaced(guest("vm1", down(1, 2), persistent=down(1, 4), gateway=UP), 1.0))
    assert told(one(trial, "vm1", "persistent")) == [("NAT missing", 1.0, 2.0), ("old flow cut", 2.0, 4.0)]


@pytest.mark.parametrize(
    ("echoes", "cause"),
    [(down(1, 4), "TCP backoff"), (down(1, 2)[:20] + "L" * 20 + "F" * (len(UP) - 40), "old flow cut")],
)
def test_a_session_that_goes_on_by_itself_was_not_cut(echoes: str, cause: str) -> None:
    """New connections pass; its kernel had not sent again yet. One that then ends, or never goes on, was cut."""
    log = harness(down(1, 2)).add(Direction.INGRESS, "tcp-ingress", "established", END, echoes)
    trial = analysed(replaced(guest("vm1", UP, gateway=UP), 1.0), log)
    assert [(c, b) for c, b, _ in told(one(trial, "harness", "established"))] == [
        ("firewall missing", 1.0),
        (cause, 2.0),
    ]


def test_a_service_that_moves_the_figure_is_said_to() -> None:
    """A banner that comes late for long makes the ingress figure longer than the network was down."""
    for banner, said in ((UP[:20] + "L" * 10 + "B" * 10 + UP[40:], [f"{END} 1.00 s"]), (down(1, 2), [])):
        trial = analysed(replaced(guest("vm1", UP, gateway=UP), 1.0), harness(down(1, 2), banner=banner))
        assert [c.detail for c in trial.caveats if c.kind is CaveatKind.SERVICE_DOWN] == said


def test_a_service_slower_than_the_network() -> None:
    """The port accepts and no banner comes; closed instead, it says so."""
    for how, cause in (("B", "service slow"), ("F", "service refuses"), ("L", "service slow")):
        log = harness(down(1, 2), banner=UP[:20] + "L" * 10 + how * 20 + UP[50:])
        log.details["banner"] = CLOSED
        trial = analysed(replaced(guest("vm1", UP, gateway=UP), 1.0), log)
        assert told(one(trial, "harness", "banner")) == [("firewall missing", 1.0, 2.0), (cause, 2.0, 4.0)]


@pytest.mark.parametrize(
    ("banners", "cause"), [("BB", "unattributed"), ("BBBB", "service slow"), ("LLLL", "unattributed")]
)
def test_late_banners_are_a_slow_service_where_losses_don_t_explain_them(banners: str, cause: str) -> None:
    """A packet of one may have been lost, and repeated after a while; a SYN is not even repeated in time."""
    log = harness(UP, banner=UP[:20] + banners + UP[20 + len(banners) :])
    assert causes(one(analysed(guest("vm1", UP, gateway=UP), log), "harness", "banner")) == [cause]


def test_the_grain_of_a_coarse_stream_is_no_cause() -> None:
    """A banner probe that was lost with the network, or could have been, says nothing of the service."""
    syn = down(1, 2)
    trial = analysed(replaced(guest("vm1", UP, gateway=UP), 1.0), harness(syn, banner=down(1, 2.1)))
    assert told(one(trial, "harness", "banner")) == [("firewall missing", 1.0, 2.0), ("unattributed", 2.0, 2.1)]
    early = UP[:17] + "BB" + "L" * 11 + UP[30:]  # what was under way when the network went may have died with it
    trial = analysed(replaced(guest("vm1", UP, gateway=UP), 1.0), harness(syn, banner=early))
    assert told(one(trial, "harness", "banner")) == [("unattributed", 0.7, 0.9), ("firewall missing", 0.9, 2.0)]


def test_a_coarser_layer_has_the_finer_ones_cause() -> None:
    """Where the SYN was refused for a reason that is nobody's, the banner is no wiser."""
    refused = harness(down(1, 3, "F"), banner=down(1, 3))
    refused.details["syn"] = RST
    trial = analysed(replaced(guest("vm1", UP, gateway=UP), 1.0), refused)
    assert causes(one(trial, "harness", "banner")) == ["unattributed"]


def test_without_its_syn_a_banner_tells_nothing_of_rules() -> None:
    """A port that is closed and a service that is slow look the same."""
    log = Log("harness").add(Direction.INGRESS, "ssh-ingress", "banner", END, down(1, 3))
    trial = analysed(replaced(guest("vm1", UP, gateway=UP), 1.0), log)
    assert causes(one(trial, "harness", "banner")) == ["unattributed"]


def test_without_gateway_probes_the_entry_speaks() -> None:
    """Nobody answers for the address: gone. A router announced itself: bare. Before that nobody can say."""
    trial = analysed(replaced(guest("vm1", down(1, 3)), 2.0))
    assert told(one(trial, "vm1", "fresh")) == [("unattributed", 1.0, 2.0), ("NAT missing", 2.0, 3.0)]
    asking = guest("vm1", down(1, 3))
    asking.entries += [AT_FIRST, (1.5, 0, FAILED), (2.9, OLD, REACHABLE)]
    assert told(one(analysed(asking), "vm1", "fresh")) == [
        ("unattributed", 1.0, 1.5), ("router gone", 1.5, 1.9), ("unattributed", 1.9, 3.0),
    ]  # fmt: skip


def test_an_old_log_without_evidence_is_unattributed() -> None:
    """Runs from before neighbour entries were logged still load, and claim nothing that they did not see."""
    trial = analysed(guest("vm1", down(1, 3), persistent=down(1, 4)), harness(down(1, 3)))
    assert causes(one(trial, "vm1", "fresh")) == ["unattributed"]
    assert causes(one(trial, "harness", "syn")) == ["unattributed"]
    assert causes(one(trial, "vm1", "persistent")) == ["unattributed", "old flow cut"]


def test_what_once_worked_is_not_missing() -> None:
    """An outage through a router that had worked already is none of its programming."""
    twice = UP[:20] + "L" * 8 + "R" * 12 + "L" * 8 + UP[48:]
    trial = analysed(replaced(guest("vm1", twice, gateway=UP), 1.0), harness(twice))
    first, second = trial.of(ICMP_FRESH)[0].windows
    assert (causes(first), causes(second)) == (["NAT missing"], ["unattributed"])
    first, second = trial.of(SSH_SYN)[0].windows
    assert (causes(first), causes(second)) == (["firewall missing"], ["unattributed"])


def test_a_fault_of_the_fabric_clears_the_router() -> None:
    """With the path beside the router down as well, nothing is said of the router."""
    trial = analysed(replaced(guest("vm1", down(1, 3), gateway=down(1, 2), control=down(1, 3))))
    assert causes(one(trial, "vm1", "fresh")) == ["unattributed"]
    trial = analysed(replaced(guest("vm1", UP, gateway=UP)), harness(down(2, 3), control=down(2, 3)))
    assert causes(one(trial, "harness", "syn")) == ["unattributed"]


@pytest.mark.parametrize(
    ("detail", "ttl", "cause"),
    [
        (ADMIN_PROHIBITED, 0, "firewall missing"),
        (ADMIN_PROHIBITED, ROUTER_TTL, "firewall missing"),
        (ADMIN_PROHIBITED, GUEST_TTL, "service refuses"),
        (RST, GUEST_TTL, "service refuses"),
        (RST, ROUTER_TTL, "router refuses"),
        (RST, 0, "unattributed"),
        (0x0300, 0, "unattributed"),
    ],
)
def test_refusals_by_their_reason(detail: int, ttl: int, cause: str) -> None:
    """A filter says that it prohibits; a reset is of whoever is as far away as it came from."""
    refused = harness(down(1, 3, "F"))
    refused.details["syn"], refused.ttls["syn"] = detail, ttl
    trial = analysed(guest("vm1", UP, gateway=UP), refused)
    assert causes(one(trial, "harness", "syn")) == [cause]


def test_a_filter_may_refuse_on_the_way_out_too() -> None:
    """Administratively prohibited: an egress rule is missing."""
    refused = guest("vm1", down(1, 3, "F"), gateway=UP)
    refused.details["fresh"] = ADMIN_PROHIBITED
    assert causes(one(analysed(refused), "vm1", "fresh")) == ["firewall missing"]


@pytest.mark.parametrize(
    ("ttl", "cause"), [(0, "unattributed"), (GUEST_TTL, "service refuses"), (ROUTER_TTL, "firewall missing")]
)
def test_a_reset_after_the_router_came_back(ttl: int, cause: str) -> None:
    """The new router's own reset shows that it does not forward yet; of whom nobody saw, nothing is claimed."""
    refused = harness(down(1, 3, "F"), banner=down(1, 3, "F"))
    refused.details.update(syn=RST, banner=RST)
    refused.ttls["syn"] = ttl
    trial = analysed(replaced(guest("vm1", UP, gateway=UP), 1.0), refused)
    assert causes(one(trial, "harness", "syn")) == [cause]
    assert causes(one(trial, "harness", "banner")) == [cause]


@pytest.mark.parametrize("detail", [RST, Refusal.CUT])
def test_a_banner_alone_does_not_tell_who_reset_it(detail: int) -> None:
    """The kernel keeps no TTL, and its SYNs were accepted meanwhile."""
    log = harness(UP, banner=down(1, 3, "F"))
    log.details["banner"] = detail
    assert causes(one(analysed(guest("vm1", UP, gateway=UP), log), "harness", "banner")) == ["unattributed"]


def test_another_clock_changes_nothing() -> None:
    """A guest whose clock is hours off tells the same story."""
    away = guest("vm1", down(1, 3), gateway=down(1, 2), clock_s=7200.0)
    trial = analysed(replaced(away, 1.93), harness(down(1, 4)))
    assert told(one(trial, "vm1", "fresh")) == [("router gone", 1.0, 1.93), ("NAT missing", 1.93, 3.0)]
    assert told(one(trial, "harness", "syn")) == [("router gone", 1.0, 1.93), ("firewall missing", 1.93, 4.0)]


def test_a_blind_window_has_no_cause() -> None:
    """What was not seen has none."""
    trial = analysed(guest("vm1", down(1, 3, "s")))
    assert (one(trial, "vm1", "fresh").phases, one(trial, "vm1", "fresh").cause) == ((), "")


def test_phases_fill_every_window() -> None:
    """Whatever was seen, phases lie end to end over the estimate: no millisecond has two causes, or none."""
    dice = random.Random(20261124)
    for _ in range(60):
        outcomes = [
            "".join(dice.choices("RRRRRRLLF", k=1)[0] * dice.randint(1, 8) for _ in range(40))[:60] for _ in "1234567"
        ]
        lines = ["R" * 8 + o[8:] for o in outcomes]
        log = guest("vm1", lines[0], persistent=lines[1], gateway=lines[2], control=lines[3])
        log.entries += [(dice.uniform(-1, 5), dice.choice((OLD, NEW, 0)), dice.choice((2, 4, 0x20))) for _ in range(6)]
        log.entries.sort()
        trial = analysed(log, guest("vm2", lines[4], gateway=lines[5]), harness(lines[6], banner=lines[0]))
        windows = [w for s in trial.streams if s.stream.kind.headline for w in s.windows]
        assert windows
        assert all(fills(w, w.phases) for w in windows if not w.blind)


def test_seconds_by_cause_are_means_over_streams() -> None:
    """As the headline figure is; what none had is left out. An outage begins a round trip after its first loss."""
    trial = analysed(
        replaced(guest("vm1", down(1, 3), gateway=down(1, 2))), replaced(guest("vm2", down(1, 2.5), gateway=down(1, 2)))
    )
    found = seconds_by_cause(trial.headline(Direction.EGRESS))
    assert found == pytest.approx({Cause.ROUTER_GONE: 0.999, Cause.NAT_MISSING: 0.75})
    assert sum(found.values()) == pytest.approx(trial.figures(Direction.EGRESS).downtime.estimate_s)


def test_words_show_milliseconds() -> None:
    """Short phases don't read as zero."""
    phases = [CausePhase(Cause.ROUTER_GONE, 0.0, 1.844), CausePhase(Cause.UNATTRIBUTED, 1.844, 1.847)]
    assert in_words(phases) == "router gone 1.84 s, unattributed 3 ms"
