"""vrbench init: a profile for one cloud, written from what that cloud offers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vrbench.cli.exits import Exit, UsageProblem
from vrbench.cli.lists import entry
from vrbench.cli.say import called, say, say_aside
from vrbench.core.plan.fill import Filled, fill

if TYPE_CHECKING:
    from vrbench.cloud.api.facade import Answer, Cloud
    from vrbench.cloud.check.owners import Whose
    from vrbench.cloud.check.survey import Offer, Question, Survey
    from vrbench.core.plan.tables import Profile

LET_IN = "environment.source_cidr"
OWNERS = ("project", "domain", "account")  # keys of [cloud] that say in whose name
MODEL = "isolated"  # the shipped profile that is filled in
CALL_TIMEOUT_S, REACH_S = 15.0, 2.0
SHOWN = 12  # of many offers; --set takes any
STAYS = "this account may not expunge: network and VMs stay until the server has expunged"
NO_EGRESS = "CHANGE: no address that answers ping was found; name one that the VMs can reach"
NO_CONTROL = "none found; an address near the public side tells faults of this machine's own path"


@click.command("init", epilog="Example: vrbench init --output mine.toml")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("mine.toml"),
    show_default=True,
    help="The profile to write; an existing file is never overwritten.",
)
@click.option("--yes", is_flag=True, help="Ask nothing: take what fits best. So it is without a terminal.")
@click.option("--set", "settings", multiple=True, metavar="TABLE.KEY=VALUE", help="A key that is decided already.")
def command(output: Path, yes: bool, settings: tuple[str, ...]) -> int:
    """Ask the cloud what it offers and write a commented profile. Changes nothing in the cloud.

    Questions are asked only where there is a choice. Credentials come from CLOUDSTACK_* or cloudstack.ini, and never
    go into the profile. Exit code 3 where the cloud would refuse a run: the profile is written all the same.
    """
    from vrbench.cloud.api.facade import Cloud
    from vrbench.cloud.api.turned_away import WhenTurnedAway
    from vrbench.cloud.credentials.credentials import find_credentials

    if output.exists():
        raise UsageProblem(f"{output} is there already, and is not overwritten: name another file with --output")
    if not os.access(output.absolute().parent, os.W_OK):
        raise UsageProblem(f"{output.absolute().parent} can't be written to: name another file with --output")
    credentials = find_credentials("", os.environ)
    say(entry("endpoint", f"{credentials.endpoint}  ({credentials.source})", 17, err=True), err=True)
    for note in credentials.notes:
        say(f"note: {note}", err=True)
    cloud = Cloud(credentials, CALL_TIMEOUT_S)
    cloud.waiting = WhenTurnedAway(say_aside)
    asker = Asker(asks=not yes and sys.stdin.isatty() and sys.stderr.isatty(), decided=_decided(settings))
    _ask_all(cloud, asker)
    return _write(cloud, output, asker.filled)


def _decided(settings: tuple[str, ...]) -> dict[str, Filled]:
    """Return what --set says, by key. Raises UsageProblem for what no profile can say."""
    from vrbench.core.plan.profile import read_setting

    decided = {}
    for setting in settings:
        try:
            table, key, value = read_setting(setting)
        except ValueError as error:
            raise UsageProblem(str(error)) from None
        if not isinstance(value, str | int | float):  # a name may look like a date
            value = setting.partition("=")[2].strip()
        decided[f"{table}.{key}"] = Filled(value)
    return decided


@dataclass
class Asker:
    """Settles one key after the other: by --set, by a question, or by what fits best; and says how."""

    asks: bool
    decided: dict[str, Filled]
    filled: dict[str, Filled] = field(init=False)

    def __post_init__(self) -> None:
        self.filled = dict(self.decided)

    def settle(self, question: Question) -> str:
        """Settle a question and return the value."""
        if question.key in self.decided:
            return str(self.decided[question.key].value)
        offers = question.offers
        chosen = self._ask(question) if self.asks and len(offers) > 1 else offers[0]
        others = f"one of {len(offers)}" if len(offers) > 1 else "the only one"
        self.put(question.key, question.what, chosen.value, ", ".join(filter(None, (chosen.told, others))))
        return chosen.value

    def put(self, key: str, what: str, value: str | bool, why: str) -> None:
        """Settle a key that has no choice."""
        if key not in self.decided:
            self.filled[key] = Filled(value, why)
            shown = "yes" if value is True else "no" if value is False else value or "–"
            say(entry(what, f"{shown}  ({why})", 17, err=True), err=True)

    def _ask(self, question: Question) -> Offer:
        say(f"\nWhich {question.what}?", err=True)
        shown = question.offers[:SHOWN]
        for number, offer in enumerate(shown, 1):
            told = f"{offer.value}{f'  ({offer.told})' if offer.told else ''}"
            say(entry(f"  {number:2}", told, 5, err=True), err=True)
        if len(question.offers) > SHOWN:
            more = len(question.offers) - SHOWN
            say(f"      and {more} more: name one by --set {question.key}=NAME", err=True)
        number = click.prompt("number", default=1, type=click.IntRange(1, len(shown)), err=True)
        return question.offers[number - 1]


def _ask_all(cloud: Cloud, asker: Asker) -> None:
    """Settle every key that depends on the cloud."""
    from vrbench.cloud.check.survey import Survey
    from vrbench.core.plan.networks import DEFAULT_NETWORK

    capability = cloud.call("listCapabilities")["capability"]
    say(f"{cloud.endpoint}, CloudStack {capability.get('cloudstackversion', 'unknown')}", err=True)
    survey = Survey(
        cloud,
        str(asker.decided.get("environment.access", Filled("port-forwarding")).value),
        str(asker.decided.get("environment.network", Filled(DEFAULT_NETWORK)).value),
    )
    survey = survey.seen_by(_whose(survey, asker))
    zone = survey.zone(asker.settle(survey.zones()))
    if survey.network == DEFAULT_NETWORK:  # for others a run chooses, or makes one
        asker.settle(survey.network_offerings(zone))
    asker.settle(survey.service_offerings(zone))
    asker.settle(survey.templates(zone))
    if not capability.get("allowuserexpungerecovervm"):
        _accept_slow_removal(asker)
    towards = survey.public_address(zone)
    own = _own_address(towards)
    _let_in(cloud, towards, own, asker)
    _targets(survey.gateway(zone), own, zone, asker)


def _whose(survey: Survey, asker: Asker) -> Whose:
    """Settle in whose name is built: the account's own, unless a project is chosen or somebody is named by --set."""
    from vrbench.core.plan.tables import CloudTable

    named: dict[str, Any] = {
        key: str(asker.decided[f"cloud.{key}"].value) for key in OWNERS if f"cloud.{key}" in asker.decided
    }
    if not named and (question := survey.projects()):
        named["project"] = asker.settle(question)
    return survey.whose_by(replace(CloudTable(), **named))


def _accept_slow_removal(asker: Asker) -> None:
    """Let the operator agree that what a run made stays for a while; without asking, that is said in the profile."""
    accepted = not asker.asks or click.confirm(f"{STAYS} (by default 24 h, up to 48 h). Accept that?", err=True)
    asker.put("environment.accept_slow_removal", "slow removal", accepted, STAYS)


def _let_in(cloud: Cloud, towards: str, own: str, asker: Asker) -> None:
    """Settle whom the firewall lets in: this machine. Behind an address translation, only its operator knows as whom.

    From where the account last logged in is no more than a hint: nobody is let in by it unless asked.
    """
    from vrbench.cloud.check.own_address import is_translated, logged_in_from

    if not own or LET_IN in asker.decided:
        return
    if not is_translated(own, towards):
        asker.put(LET_IN, "let in", "auto", f"this machine alone, now {own}")
    elif asker.asks:
        say(f"\nThis machine is {own} here, and the cloud sees it by another address.", err=True)
        seen = click.prompt("Which one", default=logged_in_from(cloud) or None, value_proc=_one_address, err=True)
        asker.put(LET_IN, "let in", f"{seen}/32", "this machine alone, as the cloud sees it")
    else:
        asker.put(LET_IN, "let in", "auto", f"CHANGE: the cloud does not see this machine as {own}; name its address")


def _one_address(text: str) -> str:
    """Return an IPv4 address. Raises BadParameter, and click asks again."""
    try:
        return str(IPv4Address(text.strip().removesuffix("/32")))
    except ValueError:
        raise click.BadParameter(f"{text!r} is no IPv4 address: write it as 198.51.100.7") from None


def _targets(gateway: str, own: str, zone: Answer, asker: Asker) -> None:
    """Find what VMs can ping, and what tells a fault of this machine's own path: addresses that answer from here."""
    from vrbench.cloud.check.survey import answering

    resolvers = [str(zone[name]) for name in ("dns1", "dns2") if zone.get(name)]  # not every caller is shown them
    up = answering([*resolvers, own, gateway], _answers)
    why = "this machine, as the public addresses see it" if up[:1] == [own] else "it answers ping from here"
    asker.put("probes.egress_target", "egress target", *((up[0], why) if up else ("192.0.2.1", NO_EGRESS)))
    near = "the public addresses' gateway; it answers ping from here"
    controls = gateway != own and gateway in up[1:]
    asker.put("probes.control_target", "control target", *((gateway, near) if controls else ("", NO_CONTROL)))


def _own_address(towards: str) -> str:
    from vrbench.cloud.check.own_address import own_address
    from vrbench.cloud.errors import CloudError

    try:
        return own_address(towards) if towards else ""
    except CloudError as error:
        say(f"note: {error}", err=True)
        return ""


def _answers(address: str) -> bool:
    from vrbench.probes.config import ProbeError
    from vrbench.probes.ping_check import reach

    try:
        return bool(reach([address], REACH_S).up)
    except (ProbeError, OSError, ValueError) as error:
        say(f"note: {address} could not be pinged from here: {error}", err=True)
        return False


def _write(cloud: Cloud, output: Path, filled: dict[str, Filled]) -> int:
    """Write the profile, look whether the cloud would take it, and say what comes next."""
    from vrbench.cli.profiles import shipped
    from vrbench.core.plan.profile import load_profile

    text = fill(shipped()[MODEL], output.stem, filled)
    profile = load_profile(text, output.stem, (), str(output))  # what --set brought may be wrong
    with output.open("x", encoding="utf-8") as file:
        file.write(text)
    problems = list(_problems(cloud, profile))
    for problem in problems:
        say(f"a run would be refused: {problem}", err=True)
    say(f"{output} is written; next: {called(f'doctor {output}')}", err=True)
    return Exit.FAILED if problems else Exit.OK


def _problems(cloud: Cloud, profile: Profile) -> Iterator[str]:
    """Yield what the cloud would refuse a run with this profile for."""
    from datetime import UTC, datetime

    from vrbench.cloud.check.preflight import preflight
    from vrbench.cloud.errors import CloudError, PreflightError
    from vrbench.core.plan.plan import make_plan
    from vrbench.run.environment_source import environment_plan
    from vrbench.store.directory import new_run_id

    plan = make_plan(profile, new_run_id(datetime.now(UTC), profile.name))
    try:
        preflight(cloud, environment_plan(plan), accept_unexpunged=profile.environment.accept_slow_removal)
    except PreflightError as error:
        yield from (finding.sentence for finding in error.findings)
    except CloudError as error:
        yield str(error)
