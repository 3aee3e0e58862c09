"""vrbench lab: the zone in a box, by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from vrbench.cli.exits import Exit, UsageProblem
from vrbench.cli.lists import entry
from vrbench.cli.say import say, say_json
from vrbench.core.plan.tables import PRESETS, SERVER_VERSIONS, STRATEGIES, LabTable
from vrbench.lab.limits import Limits
from vrbench.lab.status import FIRST_SUBNET, OUTAGE_S, RULE_COST_S, TIME_SCALE


class Within(click.FloatRange):
    """A number within the lab's own limits; NaN, which click lets through, is in none."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits.lowest, limits.highest)
        self.limits = limits

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, a whole one where only these count."""
        if wrong := self.limits.refuse(value):
            self.fail(f"it must be {wrong}", param, ctx)
        number = float(str(value))
        return int(number) if self.limits.whole else number


state_option = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("lab"),
    show_default=True,
    help="The lab's state directory.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("lab", epilog="Example: vrbench lab up --state /tmp/zone && vrbench lab status --state /tmp/zone")
def command() -> None:
    """Run a zone in a box, by hand: it stays up until it is taken down.

    DIR/cloudstack.ini makes any CloudStack client that reads such a file work against it. Needs no cloud; runs as root,
    or as an ordinary user where user namespaces allow it.
    """


@command.command(epilog="Example: vrbench lab up --strategy serial --time-scale 0.1 --state /tmp/zone")
@click.option("--strategy", type=click.Choice(["auto", *STRATEGIES]), default="auto", help="How a router is renewed.")
@click.option("--preset", type=click.Choice(list(PRESETS)), default=None, help="Times, and strategy, of a real cloud.")
@click.option(
    "--server-version", type=click.Choice(SERVER_VERSIONS), default=SERVER_VERSIONS[-1], help="Whose API it speaks."
)
@click.option("--time-scale", type=Within(TIME_SCALE), default=1.0, help="Multiplies all boot and stop times.")
@click.option(
    "--rule-cost",
    type=Within(RULE_COST_S),
    metavar="SECONDS",
    default=0.0,
    help="What a rule takes on the router.",
)
@click.option(
    "--first-subnet",
    type=Within(FIRST_SUBNET),
    metavar="N",
    help="N addresses in the first public subnet, further ones in a second.",
)
@click.option("--install-missing", is_flag=True, help="Install missing system packages (root or sudo).")
@state_option
@json_option
def up(
    strategy: str,
    preset: str | None,
    server_version: str,
    time_scale: float,
    rule_cost: float,
    first_subnet: int | None,
    install_missing: bool,
    state: Path,
    as_json: bool,
) -> int:
    """Start a lab and return when its API answers."""
    from vrbench.cli.lab_ready import make_ready
    from vrbench.embedded.process import lab_options
    from vrbench.lab import lifecycle

    make_ready(install_missing, "vrbench lab up --install-missing")
    lab = LabTable(strategy, preset or "", server_version, time_scale, rule_cost)
    options = replace(lab_options(lab), first_subnet=first_subnet or 0)
    _show(lifecycle.up(state, options).to_json(), state, as_json)
    return Exit.OK


@command.command(epilog="Example: vrbench lab status --state /tmp/zone --json")
@state_option
@json_option
def status(state: Path, as_json: bool) -> int:
    """Endpoint, nodes and (with --json) the keys of one caller of each kind."""
    from vrbench.lab import lifecycle

    _show(lifecycle.status(state).to_json(), state, as_json)
    return Exit.OK


@command.command(
    "exec",
    context_settings={"ignore_unknown_options": True},
    epilog="Example: vrbench lab exec --state /tmp/zone upstream -- ping -c3 198.51.100.2",
)
@state_option
@click.argument("node")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD...")
def exec_(state: Path, node: str, argv: tuple[str, ...]) -> int:
    """Run a command inside a node (upstream is the outside world); exits with its code."""
    from vrbench.lab import lifecycle

    nodes = [n.name for n in lifecycle.status(state).nodes]
    if node not in nodes:
        raise UsageProblem(f"no node {node!r} in this lab; there are: {', '.join(nodes)}")
    return lifecycle.exec_(state, node, argv)


@command.command(epilog="Example: vrbench lab outage --state /tmp/zone --seconds 2.0 --direction egress")
@click.option("--seconds", type=Within(OUTAGE_S), required=True, help="How long to drop traffic.")
@click.option("--direction", type=click.Choice(["egress", "ingress", "both"]), default="both", help="Which way.")
@click.option("--target", default="", metavar="VM", help="Only this VM's traffic.")
@state_option
@json_option
def outage(seconds: float, direction: str, target: str, state: Path, as_json: bool) -> int:
    """Drop traffic in the router's data path, and print the true start and end."""
    from vrbench.lab import lifecycle

    done = lifecycle.outage(state, seconds, direction, target).to_json()
    if as_json:
        say(json.dumps(done))
        return Exit.OK
    for which in ("start", "end"):
        m = done[which]
        say(f"{which:6} {m['utc']}  monotonic {m['monotonic_ns'] / 1e9:.6f} s  ± {m['uncertainty_ns'] / 1e6:.3f} ms")
    say(f"{done['duration_s']:.6f} s, {done['direction']}, {done['target'] or 'all VMs'}")
    return Exit.OK


@command.command(epilog="Example: vrbench lab fault --state /tmp/zone packet-loss percent=5")
@click.argument("name", required=False, default="")
@click.argument("parameters", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--clear", is_flag=True, help="Switch it off; without NAME all of them.")
@state_option
@json_option
def fault(name: str, parameters: tuple[str, ...], clear: bool, state: Path, as_json: bool) -> int:
    """Make something go wrong until it is switched off; without NAME, show what can and what does."""
    from vrbench.lab import lifecycle
    from vrbench.lab.faults import KINDS, FaultError, make, parse

    if bad := next((text for text in parameters if "=" not in text), ""):
        raise UsageProblem(f"{bad!r} is no parameter: write KEY=VALUE")
    given = parse(";".join(parameters))
    try:
        wanted = make(name, given) if name else None
    except FaultError as error:
        raise UsageProblem(str(error)) from None
    change = wanted is not None and not clear
    if not as_json and not name and not clear:  # before the lab is asked: the list is worth reading without one, too
        for kind, about in KINDS.items():
            defaults = " ".join(f"{key}={value}" for key, value in about.defaults.items())
            say(entry(kind, about.help + (f"  [{defaults}]" if defaults else ""), 22))
    known = lifecycle.fault(state, name, given, on=change) if change or clear else lifecycle.faults(state)
    if as_json:
        say(json.dumps(known))
        return Exit.OK
    for on, params in known.items():
        say(f"on now: {on} {' '.join(f'{key}={value}' for key, value in params.items() if value)}")
    return Exit.OK


@command.command(epilog="Example: vrbench lab phases --state /tmp/zone")
@state_option
@json_option
def phases(state: Path, as_json: bool) -> int:
    """Show what was done to the routers, and when nothing could pass, by CLOCK_MONOTONIC."""
    from vrbench.lab import lifecycle

    told = lifecycle.phases(state)
    if as_json:
        say(json.dumps(told))
        return Exit.OK
    for action in told["deeds"]:
        lasted_ms = (action["after_ns"] - action["before_ns"]) / 1e6
        say(f"{action['before_ns'] / 1e9:16.6f} s  {action['what']} {action['router']}, {lasted_ms:.1f} ms")
    for phase in told["phases"]:
        seconds = (phase["end_ns"] - phase["start_ns"]) / 1e9
        where = f"{phase['direction']} {phase['target']}".rstrip()
        say(f"{phase['start_ns'] / 1e9:16.6f} s  {where}: {phase['cause']} for {seconds:.3f} s")
    return Exit.OK


@command.command(epilog="Example: vrbench lab down --state /tmp/zone")
@state_option
def down(state: Path) -> int:
    """End the lab and everything in it; running it again is fine.

    Exit code 3 where its state file was lost: the lab is ended all the same, by its processes.
    """
    from vrbench.lab.lifecycle import Found
    from vrbench.lab.lifecycle import down as end

    found = end(state)
    if found is Found.NO_LAB:
        raise UsageProblem(
            f"{state} is no lab's directory, and no lab stands for it: say with --state where vrbench lab up made yours"
        )
    if found is Found.NOTHING:
        say(f"no lab runs in {state}: nothing to end", err=True)
    if found is Found.LOST:
        say(f"{state / 'lab.json'} was gone: the lab was found by its processes, and is ended", err=True)
        return Exit.FAILED
    return Exit.OK


def _show(shown: dict[str, object], state: Path, as_json: bool) -> None:
    if as_json:
        say_json(shown)
        return
    say(f"endpoint   {shown['endpoint']}   (keys: {state / 'cloudstack.ini'})")
    say(f"strategy   {shown['strategy']}, time scale {shown['time_scale']}")
    say(f"SSH user   {shown['ssh_user']}")
    nodes = shown["nodes"]
    assert isinstance(nodes, list | tuple)
    for node in nodes:
        say(f"{node['kind']:10} {node['name']:24} {' '.join(node['addresses'])}")
