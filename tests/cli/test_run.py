"""The main job, end to end, on the lab: real API, real packets, real sshd."""

from __future__ import annotations

import json
import signal
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.zone import MEASURED, PROFILE, STOOD_STILL, Zone, check_worth, only_run, running, table, wait_for
from vrbench.core.caveats import CaveatKind
from vrbench.core.log.rawlog import decode_header

pytestmark = pytest.mark.lab


def test_a_run_measures_reports_and_leaves_nothing(zone: Zone) -> None:
    """From nothing to figures and back to nothing: valid, bounded, exported, and not an object is left."""
    done = zone.vrbench("run", zone.profile(), "--trials", "2", "--json")
    assert zone.left() == []
    run = only_run(zone)
    assert not (run / "key").exists()
    trials = table(zone, run, "trials")
    assert len(trials) == 2, done.err
    check_worth(done.code, trials)
    assert {c for t in trials for c in t["caveats"].split(";")} <= {"baseline-short", "relapsed", "", *STOOD_STILL}
    for trial in trials:
        for d in ("egress", "ingress"):
            low, middle, high = (float(trial[f"{d}_{k}_s"]) for k in ("at_least", "downtime", "at_most"))
            assert 0 <= low <= middle <= high < 10
            assert high > 0, "a restart with cleanup can't go unnoticed"
            assert middle > 0 or trial["verdict"] == "unknown", "nor pass for none where nobody stood still"
    check_tables_agree(zone, run, trials)
    check_json(done.json, trials)


def check_tables_agree(zone: Zone, run: Path, trials: list[dict[str, str]]) -> None:
    """Check that the windows table gives the trials table, and that the samples table has every slot."""
    windows = table(zone, run, "windows")
    samples = table(zone, run, "samples")
    for trial in trials:
        for direction in ("egress", "ingress"):
            here = [s for s in samples if (s["trial"], s["direction"]) == (trial["trial"], direction)]
            streams = {s["stream"] for s in here if s["flow"] in ("fresh", "persistent", "syn", "banner")}
            assert len(streams) == 4, "two VMs with two flows, two addresses with two layers"
            totals = [
                sum(
                    float(w["estimate_s"])
                    for w in windows
                    if (w["trial"], w["stream"]) == (trial["trial"], stream) and float(w["start_s"]) > 0
                )
                for stream in streams
            ]
            assert statistics.fmean(totals) == pytest.approx(float(trial[f"{direction}_downtime_s"]), abs=2e-6)
    for stream in {s["stream"] for s in samples}:
        slots = [int(s["slot"]) for s in samples if s["stream"] == stream and s["trial"] == "1"]
        assert slots == list(range(len(slots)))
    (summary,) = (r for r in table(zone, run, "summary") if r["direction"] == "egress")
    counted = [float(t["egress_downtime_s"]) for t in trials if CaveatKind.UNSEEN not in t["caveats"].split(";")]
    average = float(summary["average_s"]) if counted else summary["average_s"]
    assert average == (pytest.approx(statistics.fmean(counted), abs=2e-6) if counted else "")


def check_json(shown: dict[str, list[dict[str, object]]], trials: list[dict[str, str]]) -> None:
    """--json holds the same figures as the CSV."""
    assert len(shown["trials"]) == len(trials)
    first = shown["trials"][0]["egress_downtime_s"]
    assert isinstance(first, float)
    assert first == pytest.approx(float(trials[0]["egress_downtime_s"]), abs=2e-6)


def test_the_firewall_lets_in_only_the_harness(zone: Zone) -> None:
    """While the network stands, every ingress rule names this machine's address with /32, and nothing else is open."""
    process = zone.start("run", zone.profile(), "--plain")
    try:
        wait_for("the rules", lambda: len(zone.rows("listPortForwardingRules", "portforwardingrule")) == 2)
        wait_for("the firewall", lambda: len(zone.rows("listFirewallRules", "firewallrule")) == 4)
        rules = zone.rows("listFirewallRules", "firewallrule")
        assert {r["cidrlist"] for r in rules} == {"198.51.100.1/32"}
        assert {(r["protocol"], r.get("startport")) for r in rules} == {("tcp", 22), ("icmp", None)}
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=150)
    assert zone.left() == []


@pytest.mark.slow
def test_nothing_is_acquired_before_the_network_is_implemented(zone: Zone) -> None:
    """By the server's own events the first extra address comes after the network's router runs (facts, 9.1)."""
    done = zone.vrbench("run", zone.profile(), "--json")
    assert done.code in MEASURED, done.err
    events = zone.cloud.list("listEvents", "event", listall=True)
    kinds = [e["type"] for e in sorted(events, key=lambda e: str(e["created"])) if e["state"] == "Completed"]
    assert "NET.IPASSIGN" in kinds
    assert kinds.index("NET.IPASSIGN") > kinds.index("VM.CREATE")


@pytest.mark.slow
def test_a_kept_environment_is_measured_again_and_cleaned_up(zone: Zone) -> None:
    """--keep leaves it standing, --reuse measures it without building, cleanup removes it; twice is fine."""
    kept = zone.vrbench("run", zone.profile(), "--keep", "--json")
    assert kept.code in MEASURED, kept.err
    run = only_run(zone)
    networks = zone.rows("listNetworks", "network")
    again = zone.vrbench("run", zone.profile(), "--reuse", run.name, "--json")
    assert again.code in MEASURED, again.err
    assert [n["id"] for n in zone.rows("listNetworks", "network")] == [n["id"] for n in networks]
    for _ in range(2):
        done = zone.vrbench("cleanup", run.name)
        assert done.code == 0, done.err
        assert zone.left() == []


def test_samples_are_on_disk_while_the_run_goes_on(zone: Zone) -> None:
    """What was probed a second ago can be read already, header and records, on the harness's side and the guests'."""
    process = zone.start("run", zone.profile(PROFILE.replace('baseline = "2s"', 'baseline = "6s"')), "--plain")
    try:
        logs = ("harness-syn.raw", "harness-banner.raw", "harness-icmp.raw", "guest-vm1.raw")
        trial = zone.here / "reports"
        wait_for("all logs", lambda: all(list(trial.glob(f"*/trial-01/{name}")) for name in logs))
        (syn,) = trial.glob("*/trial-01/harness-syn.raw")
        wait_for("records", lambda: len(syn.read_bytes()) > 2000)
        header, _ = decode_header(syn.read_bytes())
        assert header.node == "harness"
        process.kill()
    finally:
        process.communicate(timeout=150)
    wait_for("the run's processes to end", lambda: not running(zone))
    done = zone.vrbench("cleanup", "--all")
    assert done.code == 0, done.err
    assert zone.left() == []
    assert len(syn.read_bytes()) > 2000


def test_no_secret_is_written_or_shown(zone: Zone) -> None:
    """Neither API key nor secret stands in any file of the run or in the output; the journal names the endpoint."""
    done = zone.vrbench("run", zone.profile(), "--plain")
    root = zone.status.callers["root"]
    written = "".join(p.read_bytes().decode(errors="replace") for p in only_run(zone).rglob("*") if p.is_file())
    for text in (done.out, done.err, written):
        assert root.apikey not in text
        assert root.secretkey not in text
    head = json.loads((only_run(zone) / "journal.jsonl").read_text().splitlines()[0])
    assert head["endpoint"] == zone.status.endpoint


def test_what_the_profile_accepts_to_stay_is_no_failure(zone: Zone) -> None:
    """A user who may not expunge and says so gets figures and their exit code, and is told what stays."""
    caller, ini = zone.status.callers["user"], zone.here / "user.ini"
    ini.write_text(f"[cloudstack]\nendpoint={zone.status.endpoint}\nkey={caller.apikey}\nsecret={caller.secretkey}\n")
    ini.chmod(0o600)
    mine = replace(zone, environ={"CLOUDSTACK_CONFIG": str(ini)})
    profile = mine.profile(PROFILE.replace("[environment]", "[environment]\naccept_slow_removal = true"))
    done = mine.vrbench("run", profile)
    (trial,) = table(mine, only_run(mine), "trials")
    check_worth(done.code, [trial])
    assert "still in the cloud: network vrb-" in done.err
    run = only_run(mine)
    wait_for("the server's expunging", lambda: not zone.rows("listVirtualMachines", "virtualmachine"))
    assert mine.vrbench("cleanup", str(run)).code == 0
    assert zone.left() == []
