"""What a cloud has to offer for a profile: the keys that depend on it, each with what it can be, the best first.

Looks only: nothing is created, changed or removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from vrbench.cloud.api.facade import Answer, Cloud, Param
from vrbench.cloud.check import offerings
from vrbench.cloud.check.choosing import choose, is_disabled, unfit_zone
from vrbench.cloud.check.owners import NOBODY_ELSE, Wanted, Whose, find_owner, projects
from vrbench.cloud.check.preflight import own_account
from vrbench.cloud.errors import CloudError, NotPermitted, PreflightError
from vrbench.core.plan.networks import DEFAULT_NETWORK
from vrbench.core.text import visible

LINUX = ("debian", "ubuntu", "rocky", "alma", "centos", "linux")  # in a template's name or system: likely to take SSH


@dataclass(frozen=True, slots=True)
class Offer:
    """One value that a key can have, and what tells it from the others."""

    value: str
    told: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A key of the profile, what it is in words, and what it can be; the first fits best."""

    key: str
    what: str
    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """One cloud, looked at with the caller's eyes."""

    cloud: Cloud
    access: str = offerings.PORT_FORWARDING
    network: str = DEFAULT_NETWORK
    whose: Whose = NOBODY_ELSE

    def seen_by(self, whose: Whose) -> Survey:
        """Return the same cloud as an owner sees it."""
        return replace(self, cloud=self.cloud.acting_for(whose.owner), whose=whose)

    def projects(self) -> Question | None:
        """Return what can be chosen instead of the account's own; None where it is in no project."""
        try:
            rows = [row for row in projects(self.cloud) if row["state"] == "Active"]
        except NotPermitted:
            return None
        if not rows:
            return None
        found = _asked("cloud.project", "project", rows, lambda row: f"of {row.get('domain')}")
        return replace(found, offers=(Offer("", "the account's own, in no project"), *found.offers))

    def whose_by(self, wanted: Wanted) -> Whose:
        """Return whose the things will be. Raises PreflightError where nobody is meant, or the caller may not."""
        return find_owner(self.cloud, wanted, own_account(self.cloud) or {})

    def zones(self) -> Question:
        """Return the advanced zones. Raises PreflightError where there is none."""
        rows = self.cloud.list("listZones", "zone", available=True)
        fit = sorted((row for row in rows if not unfit_zone(row)), key=is_disabled)
        return _asked("cloud.zone", "zone", fit, lambda row: str(row.get("description") or ""))

    def network_offerings(self, zone: Answer) -> Question:
        """Return those by which networks have a virtual router of their own that does all that is measured."""
        rows = self.cloud.list(
            "listNetworkOfferings", "networkoffering", guestiptype="Isolated", state="Enabled", zoneid=zone["id"]
        )
        fit = offerings.of_kind(offerings.ranked(offerings.for_owner(rows, self.whose), self.access), self.network)
        return _asked("cloud.network_offering", "network offering", fit, _routers)

    def service_offerings(self, zone: Answer) -> Question:
        """Return sizes of VMs that are fixed, the smallest first."""
        rows = self.cloud.list("listServiceOfferings", "serviceoffering")
        here = offerings.in_zone(offerings.for_owner(rows, self.whose), zone)
        fit = sorted(filter(offerings.is_fixed, here), key=offerings.size_of)
        return _asked("cloud.service_offering", "size of the VMs", fit, _size)

    def templates(self, zone: Answer) -> Question:
        """Return what VMs can be made from: featured ones first, then those whose names speak of a Linux."""
        here = str(zone["id"])
        rows = self.cloud.list("listTemplates", "template", templatefilter="executable", zoneid=here)
        ready = [row for row in rows if row.get("isready") and row.get("zoneid", here) == here]
        return _asked("cloud.template", "template", sorted(ready, key=_unlikely), _system)

    def gateway(self, zone: Answer) -> str:
        """Return the gateway of the zone's public addresses; "" where the caller is not shown it."""
        try:
            rows = self.cloud.list("listVlanIpRanges", "vlaniprange", zoneid=zone["id"], forvirtualnetwork=True)
        except NotPermitted:
            return ""
        return next((str(row["gateway"]) for row in rows if row.get("gateway")), "")

    def public_address(self, zone: Answer) -> str:
        """Return some public address of the zone, to look which way this machine goes there; "" where none is shown."""
        which: dict[str, Param] = {"zoneid": zone["id"], "allocatedonly": False, "forvirtualnetwork": True}
        try:
            row = self.cloud.first("listPublicIpAddresses", "publicipaddress", **which)
        except CloudError:
            return ""
        return str(row["ipaddress"]) if row else ""

    def zone(self, name: str) -> Answer:
        """Return the zone of this name or id. Raises PreflightError where there is none."""
        row, problem = choose(self.cloud.list("listZones", "zone", available=True), name, "zone")
        if problem:
            raise PreflightError.because(problem)
        return row


def _asked(key: str, what: str, rows: Sequence[Answer], tell: Callable[[Answer], str]) -> Question:
    """Return the question, its offers by their names; by their ids where no profile can tell them by name."""
    if not rows:
        raise PreflightError.because(f"there is no {what} here that this account may use for vrbench's network")
    names = [str(row.get("name")) for row in rows]
    unclear = [names.count(name) > 1 or visible(name) != name for name in names]
    offers = (
        Offer(str(row["id"] if by_id else name), _joined(name * by_id, tell(row)))
        for name, by_id, row in zip(names, unclear, rows, strict=True)
    )
    return Question(key, what, tuple(offers))


def _routers(row: Answer) -> str:
    egress = "guests may reach the outside" if offerings.allows_egress(row) else "egress by rules"
    return f"{'two routers' if offerings.is_redundant(row) else 'one router'}, {egress}"


def _size(row: Answer) -> str:
    memory, cores, _ = offerings.size_of(row)
    return f"{cores} CPU, {memory} MB"


def _system(row: Answer) -> str:
    return _joined(str(row.get("ostypename") or ""), "featured" if row.get("isfeatured") else "")


def _unlikely(row: Answer) -> tuple[bool, bool, str]:
    said = f"{row.get('name')} {row.get('displaytext')} {row.get('ostypename')}".lower()
    return not row.get("isfeatured"), not any(word in said for word in LINUX), str(row.get("name"))


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def answering(candidates: Iterable[str], answers: Callable[[str], bool]) -> list[str]:
    """Return the addresses that answer, each once, in their order."""
    return [address for address in dict.fromkeys(candidates) if address and answers(address)]
