"""This machine, held against a plan: doctor's lines and what stops a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.run.world import PROFILE, RUN_ID, Rig
from vrbench.core.findings import Blame, Finding, FindingState, Foreseen
from vrbench.core.plan.needs import needs
from vrbench.core.plan.plan import Plan, make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.core.plan.streams import harness_streams
from vrbench.probes.config import ProbeError
from vrbench.probes.room import UNLIMITED, Room
from vrbench.probes.trying import Opened
from vrbench.run import this_machine
from vrbench.run.this_machine import check_this_machine, sent, stand_in, unsent

PUBLIC = "198.51.100.9"
CONTROL = "probes.control_target=198.51.100.2"
PLENTY = Room(UNLIMITED, UNLIMITED, UNLIMITED, UNLIMITED)
WELL = {name: Opened("connect") for name in ("session", "banner", "auth")} | {
    "syn": Opened("raw"),
    "icmp": Opened("raw"),
}


def plan(*settings: str) -> Plan:
    return make_plan(load_profile(PROFILE, "small", (CONTROL, *settings)), RUN_ID)


def found_of(
    monkeypatch: pytest.MonkeyPatch, opened: Mapping[str, Opened], of: Plan, room: Room = PLENTY
) -> dict[str, Finding]:
    monkeypatch.setattr(this_machine, "try_probers", lambda *_: {**WELL, **opened})
    monkeypatch.setattr(this_machine, "look_around", lambda: room)
    monkeypatch.setattr(this_machine, "allow_files", lambda _: None)
    return {finding.name: finding for finding in check_this_machine(of, PUBLIC)}


def test_what_can_be_opened_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """How each kind will be sent, and that there is room for it."""
    found = found_of(monkeypatch, {}, plan())
    assert {name: finding.state for name, finding in found.items()} == {"room": "ok", "sockets": "ok"}
    assert "SYN probes (raw)" in found["sockets"].found
    assert "pings (raw)" in found["sockets"].found


DENIED = Opened(reason="may not send ICMP", denied=True)


@pytest.mark.parametrize(
    ("prober", "how", "words"),
    [
        ("icmp", DENIED, ("pings can't", "setcap cap_net_raw+ep", "ping_group_range", "--set probes.control_target=")),
        ("syn", DENIED, ("SYN probes can't", "setcap", "probes.interval=100ms", "--set probes.syn=false")),
        ("banner", Opened(reason="Too many open files"), ("SSH banners", "--set probes.banner=false")),
        ("session", Opened(reason="Address family not supported"), ("--set probes.session=false",)),
        ("auth", Opened(reason="Address family not supported"), ("--set probes.auth=false",)),
    ],
)
def test_what_can_not_be_opened_has_its_cure(
    monkeypatch: pytest.MonkeyPatch, prober: str, how: Opened, words: tuple[str, ...]
) -> None:
    """It stops a run with 64, and names the setting that goes without."""
    bad = [f for f in found_of_all(monkeypatch, {prober: how}, plan()) if f.state is FindingState.BAD]
    assert [finding.code for finding in bad] == [Blame.OURS]
    assert [one for one in words if one not in bad[0].sentence] == []


def found_of_all(monkeypatch: pytest.MonkeyPatch, opened: Mapping[str, Opened], of: Plan) -> list[Finding]:
    found_of(monkeypatch, opened, of)
    return list(check_this_machine(of, PUBLIC))


def test_connections_in_the_place_of_syn_probes_are_worth_knowing(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost guests more, and the figures hold."""
    found = found_of_all(monkeypatch, {"syn": Opened("connect")}, plan())
    (warned,) = [finding for finding in found if finding.state is FindingState.WARN]
    assert "full TCP connections replace SYN probes" in warned.found


@pytest.mark.parametrize(
    ("prober", "state", "words"),
    [
        ("syn", FindingState.BAD, f"SYN probes to {PUBLIC} don't leave this machine: Operation not permitted"),
        ("banner", FindingState.BAD, f"SSH banners to {PUBLIC} don't leave this machine"),
        ("icmp", FindingState.WARN, "pings to the control target 198.51.100.2 don't leave"),
    ],
)
def test_a_firewall_of_this_machine_is_told(
    monkeypatch: pytest.MonkeyPatch, prober: str, state: FindingState, words: str
) -> None:
    """What it stops would all be lost; a control target only tells less."""
    (found,) = sent(found_of_all(monkeypatch, {prober: Opened("raw", unsent=1)}, plan()))
    assert found.state is state
    assert words in found.found
    assert "nft list ruleset" in found.cure


def test_without_a_public_address_only_the_control_target_is_sent_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is known yet to which a probe could be sent."""
    asked: list[Any] = []

    def tried(streams: Any, _threshold_s: float, send: frozenset[str]) -> dict[str, Opened]:
        asked.append(({s.target for s in streams["syn"]}, send))
        return WELL

    monkeypatch.setattr(this_machine, "try_probers", tried)
    assert [finding.name for finding in unsent(check_this_machine(plan(), ""))] == ["room", "sockets"]
    list(check_this_machine(plan(), PUBLIC))
    assert asked[0] == ({"127.0.0.1:22", "127.0.0.1:2201"}, frozenset({"icmp"}))
    assert asked[1] == ({f"{PUBLIC}:22", f"{PUBLIC}:2201"}, frozenset(WELL))


def test_a_machine_that_starts_no_process_is_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one for each prober."""

    def tried(*_: Any) -> Any:
        raise ProbeError("python can't be started again: Permission denied")

    monkeypatch.setattr(this_machine, "try_probers", tried)
    (found,) = [f for f in check_this_machine(plan(), PUBLIC) if f.name == "sockets"]
    assert found.state is FindingState.BAD
    assert "probes can't be sent from here: python can't be started again" in found.found


@pytest.mark.parametrize(
    ("room", "words"),
    [
        (Room(40, UNLIMITED, UNLIMITED, UNLIMITED), "open files, and 40 are left"),
        (Room(UNLIMITED, 10, UNLIMITED, UNLIMITED), "processes, and 10 are left"),
        (Room(UNLIMITED, UNLIMITED, 5, UNLIMITED), "local ports, and 5 are left"),
        (Room(UNLIMITED, UNLIMITED, UNLIMITED, 64), "MB of memory, and 64 are left"),
    ],
)
def test_too_little_room_stops_a_run(monkeypatch: pytest.MonkeyPatch, room: Room, words: str) -> None:
    """Before anything is built, with where to raise it."""
    found = found_of(monkeypatch, {}, plan(), room)["room"]
    assert (found.state, found.code) == (FindingState.BAD, Blame.OURS)
    assert words in found.found


def test_a_large_plan_needs_more_and_a_small_one_nothing_special() -> None:
    """Ten VMs fit the limits that a login usually has."""
    ten = needs(plan("environment.vms=10", "environment.public_ips=10").profile)
    many = needs(plan("environment.vms=200", "environment.public_ips=200").profile)
    assert ten.files < 1024
    assert ten.processes < 100
    assert ten.memory_mb < 512
    assert many.files > 1024
    bare = ("syn", "session", "auth")
    assert needs(plan(*(f"probes.{kind}=false" for kind in bare)).profile).memory_mb < ten.memory_mb


def test_what_stands_in_has_the_streams_of_what_will_be_built() -> None:
    """As many of each kind, each with a target of its own."""
    streams = harness_streams(plan(), stand_in(plan(), PUBLIC))
    assert {name: len({s.target for s in some}) for name, some in streams.items()} == {
        "session": 2, "syn": 2, "banner": 2, "auth": 2, "icmp": 1,
    }  # fmt: skip


def test_a_run_ends_before_anything_is_built(tmp_path: Path) -> None:
    """The cloud was looked at only; nothing is in the journal."""
    rig = Rig(tmp_path)
    bad = Finding("sockets", FindingState.BAD, "may not", "do", Blame.OURS)
    rig.machine = (Finding("sockets", FindingState.WARN, "slower"), bad)
    outcome = rig.run()
    assert isinstance(outcome.error, Foreseen)
    assert outcome.error.findings == (bad,)
    assert rig.steps == ["preflight"]
    assert "slower" in rig.said
    assert rig.looked_at == [""]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("192.0.2.1", "192.0.2.1 is an address for documentation"),  # what the shipped profile leaves
        ("127.0.0.1", "127.0.0.1 can't be reached by anybody else"),
        ("224.0.0.1", "224.0.0.1 can't be reached by anybody else"),
        ("169.254.169.254", "169.254.169.254 can't be reached by anybody else"),
    ],
)
def test_a_target_that_stands_for_nobody_ends_a_run(tmp_path: Path, target: str, words: str) -> None:
    """Doctor's line, and nothing is built."""
    rig = Rig(tmp_path, f"probes.egress_target={target}")
    outcome = rig.run()
    assert isinstance(outcome.error, Foreseen)
    assert [finding.found for finding in outcome.error.findings] == [words]
    assert rig.steps == ["preflight"]


def test_a_kept_environment_is_held_against_its_own_addresses(tmp_path: Path) -> None:
    """They are ours to send to."""
    first = Rig(tmp_path)
    first.order = first.order.__class__(first.plan, first.store, keep=True)
    first.run()
    again = Rig(tmp_path / "again")
    again.order = again.order.__class__(again.plan, again.store, reuse=first.store)
    again.machine = (Finding("sockets", FindingState.BAD, "may not", "do", Blame.OURS),)
    outcome = again.run()
    assert isinstance(outcome.error, Foreseen)
    assert again.looked_at == ["198.51.100.1"]
    assert again.steps == []
