"""A program: put one more row into the table of kinds and one more prober, then say where vrbench shows the kind.

It runs in a process of its own, since the table is read when modules are loaded. It prints one JSON object: what stands
at each place.
"""

import io
import json
import sys
from importlib.util import find_spec, module_from_spec
from pathlib import Path

ROW = """
MADE_UP = ProbeKind(
    "udp.echo",
    Direction.INGRESS,
    Layer.NETWORK,
    probe="udp-ingress",
    flow="datagram",
    aim=Aim.PUBLIC_END,
    prober="udp",
    labels=Labels("ingress udp", "ingress UDP (echo)", "in UDP", "ingress_udp", "#123456"),
    switch="udp_echo",
    help="probe ingress by datagrams that are echoed",
    interval=Interval("udp_interval", 0.2, "between datagrams"),
    footprint=Footprint(remembered_s=REMEMBERED_UDP_S),
    headline=True,
)
"""


def add_row() -> None:
    """Load the table of kinds from its source with one row more."""
    spec = find_spec("vrbench.core.kinds")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text()
    before, after = source.split("\nKINDS = (")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    longer = f"{before}\n{ROW}\nKINDS = ({after.replace(')', ', MADE_UP)', 1)}"
    exec(compile(longer, spec.origin, "exec"), module.__dict__)


def places() -> dict[str, object]:
    """Return what vrbench makes of the kind, by place."""
    from rich.console import Console

    from tests.core.logs import END_MS, MS, START, end, header, line
    from tests.core.test_plan import environment, plan_of
    from vrbench.cli import live
    from vrbench.core.analysis import analyze_trial
    from vrbench.core.calibrate.calibration import calibrate
    from vrbench.core.calibrate.injections import Fault, KnownOutage, Piece
    from vrbench.core.facts import Context, TrialFacts
    from vrbench.core.figures.results import Run, RunState
    from vrbench.core.plan.profile import reference
    from vrbench.core.plan.streams import expected_streams, harness_streams
    from vrbench.probes import prober
    from vrbench.probes.engine import Prober
    from vrbench.report import plot
    from vrbench.report.export_rows import COLUMNS, rows
    from vrbench.report.tables import run_report

    def opened(config: object, streams: object, log: object) -> Prober:
        raise NotImplementedError

    prober.PROBERS["udp"] = opened
    plan = plan_of()
    probed = harness_streams(plan, environment())
    (stream, *_) = probed["udp"]
    facts = TrialFacts(1, "2026-11-24T12:00:00.000Z", START + 1000 * MS, 1.0)
    log = header(stream, node="harness") + line("R" * 15 + "L" * 10 + "R" * 35) + end(END_MS)
    trial = analyze_trial(facts, [log], plan.method)
    run = Run("run", "", Context("here", "4.20", "kvm", "restart", lab=True), plan.method, RunState.DONE, (trial,))
    shown = Console(file=io.StringIO(), width=140, record=True)
    shown.print(run_report(run))
    outage = KnownOutage(1, Fault.SILENCE, "ingress", "", (Piece(0.45, 1.45, 0.0001),))
    found = calibrate(trial.streams, [outage], {stream.name: "vm1"}, 0.0)
    (row,) = rows("trials", [run])
    return {
        "profile keys": [key for table, key, _, _ in reference() if table == "probes" and key.startswith("udp")],
        "cost lines": [str(cost) for cost in plan.costs if cost.kind == "udp.echo"],
        "switched off": [cost.kind for cost in plan_of("probes.udp_echo=false").costs if cost.kind == "udp.echo"],
        "method id": plan.method.id,
        "streams": [s.name for _, s in expected_streams(plan, environment()) if s.kind.prober == "udp"],
        "probers": sorted(set(probed) - set(prober.PROBERS)),
        "results": [[s.stream.name, len(s.windows), s.stream.kind.headline] for s in trial.streams],
        "tables": shown.export_text(),
        "live column": live.COLUMNS.get(stream.kind.key),
        "colour": plot.COLOURS.get("ingress udp"),
        "export column": [row["ingress_udp_downtime_s"], row["ingress_udp_worst_s"], row["ingress_udp_any_down_s"]],
        "columns at the end": [column for column in COLUMNS["trials"][-10:] if not column.startswith("ingress_udp_")],
        "calibration": [[k.kind, k.figures.seen] for k in found.kinds],
    }


if __name__ == "__main__":
    add_row()
    print(json.dumps(places()))
