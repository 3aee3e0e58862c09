"""Every command that the lab answers, shelf by shelf."""

from __future__ import annotations

from collections.abc import Callable

from vrbench.lab.api.accounts import commands as accounts
from vrbench.lab.api.accounts import events, limits, people, projects, tags, userdata
from vrbench.lab.api.accounts import key_pairs as keys
from vrbench.lab.api.addresses import commands as addresses
from vrbench.lab.api.catalog import commands as catalog
from vrbench.lab.api.catalog import empty_lists, infrastructure, offerings, placement, templates
from vrbench.lab.api.faults import simulator
from vrbench.lab.api.machines import changes as machine_changes
from vrbench.lab.api.machines import commands as machines
from vrbench.lab.api.machines import volumes
from vrbench.lab.api.networks import commands as networks
from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.routers import commands as routers
from vrbench.lab.api.routers import diagnostics
from vrbench.lab.api.rules import balancing, static_nat
from vrbench.lab.api.rules import changes as rule_changes
from vrbench.lab.api.rules import commands as rules
from vrbench.lab.api.server import jobs
from vrbench.lab.api.state.entities import Json
from vrbench.lab.api.vpcs import acls
from vrbench.lab.api.vpcs import commands as vpcs

Handler = Callable[[Call], Json | Task]
FAMILIES = (
    *(accounts, events, keys, limits, people, projects, tags, userdata),
    *(catalog, empty_lists, infrastructure, offerings, placement, templates),
    *(diagnostics, routers),
    networks,
    *(acls, vpcs),
    *(machine_changes, machines, volumes),
    addresses,
    *(balancing, rule_changes, rules, static_nat),
    *(jobs, simulator),
)


def handlers() -> dict[str, Handler]:
    """Return every command that the lab answers, by its lower-case name."""
    return {name.lower(): handler for family in FAMILIES for name, handler in family.COMMANDS.items()}
