"""One fixed run, made from raw logs by hand: two guests, two addresses, two trials, one of them with a relapse."""

from tests.core.logs import END_MS, MS, START, end, header, line, stream
from vrbench.core.analysis import analyze_trial
from vrbench.core.facts import Context, NodeClock, RouterChange, TrialFacts
from vrbench.core.figures.results import Run, RunState, TrialResult
from vrbench.core.model import Direction, Stream
from vrbench.core.plan.method import Method

METHOD = Method(0.1, 0.25, 0.8, 1, 15.0, 10.0, auth_interval_s=10.0)
CONTEXT = Context("=lab-parallel", "4.20.2.0", "Simulator", "restart-network-cleanup", lab=True)
UP = "R" * 60
OUT = "R" * 20 + "L" * 12 + "R" * 28
RELAPSE = "R" * 20 + "L" * 12 + "R" * 5 + "F" * 3 + "R" * 20
OPEN = "R" * 20 + "L" * 40
RESET = "R" * 20 + "L" * 9 + "F" * 31
REQUESTED = START + 1500 * MS


def guest(name: str, fresh: str, persistent: str) -> bytes:
    """Make a guest's log."""
    streams = [
        stream(f"icmp-egress/{name}/fresh"),
        stream(f"icmp-egress/{name}/persistent", flow="persistent"),
        Stream(f"control/{name}", Direction.CONTROL, "control", "fresh", "10.1.1.9", 0.1),
    ]
    body = line(fresh, 0) + line(persistent, 1) + line(UP, 2)
    return header(*streams, node=name) + body + end(END_MS)


def harness(first: str, second: str) -> bytes:
    """Make the harness's log: SYN and banner of two addresses."""
    streams = [
        Stream(
            f"ssh-ingress/198.51.100.{n}:22/{layer}", Direction.INGRESS, "ssh-ingress", layer, f"198.51.100.{n}:22", 0.1
        )
        for layer in ("syn", "banner")
        for n in (11, 12)
    ]
    body = b"".join(line(outcomes, i) for i, outcomes in enumerate((first, second, first, second)))
    return header(*streams, node="harness") + body + end(END_MS)


def beside(first: str, second: str, names: str, login: str) -> list[bytes]:
    """Make what is reported beside the figures: two sessions, one guest's DNS, logins at one address."""
    sessions = [
        Stream(f"tcp-ingress/vm{n}/established", Direction.INGRESS, "tcp-ingress", "established", target, 0.1)
        for n, target in ((1, "198.51.100.11:22"), (2, "198.51.100.12:22"))
    ]
    auth = Stream(
        "ssh-ingress/198.51.100.11:22/auth", Direction.INGRESS, "ssh-ingress", "auth", "198.51.100.11:22", 0.1
    )
    dns = Stream("dns/vm1", Direction.EGRESS, "dns", "resolver", "10.1.1.1", 0.1)
    own = header(*sessions, auth, node="harness") + line(first) + line(second, 1) + line(login, 2) + end(END_MS)
    return [own, header(dns, node="vm1") + line(names) + end(END_MS)]


def trial(number: int, logs: list[bytes], **facts: object) -> TrialResult:
    """Analyse a trial of those logs."""
    return analyze_trial(
        TrialFacts(
            number=number,
            requested_utc="2026-11-24T12:00:00.000Z",
            requested_ns=REQUESTED,
            baseline_s=15.0,
            job_s=2.5,
            clocks={"vm1": NodeClock(0, 1000), "vm2": NodeClock(0, 1000)},
            lab=True,
            **facts,  # type: ignore[arg-type]  # names are checked by the class
        ),
        logs,
        METHOD,
    )


def fixed_run() -> Run:
    """Return the run that golden files are made of."""
    return Run(
        "20261124T120000Z-1a2b3c4d-golden",
        "reports/20261124T120000Z-1a2b3c4d-golden",
        CONTEXT,
        METHOD,
        RunState.DONE,
        (
            trial(
                1,
                [guest("vm1", OUT, OUT), guest("vm2", OUT, RELAPSE), harness(OUT, OUT), *beside(UP, RESET, OUT, OUT)],
                router_changes=(
                    RouterChange("r-5-VM", "Starting", "", REQUESTED - 400 * MS, REQUESTED + 600 * MS),
                    RouterChange("r-4-VM", "gone", "", REQUESTED + 1600 * MS, REQUESTED + 2600 * MS),
                ),
            ),
            trial(
                2, [guest("vm1", OUT, OPEN), guest("vm2", OUT, OUT), harness(OUT, RELAPSE), *beside(OUT, OPEN, UP, UP)]
            ),
        ),
    )
