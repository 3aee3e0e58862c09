"""Remove what a journal says was made, and nothing else.

Backwards: rules go with their addresses, addresses are released, VMs destroyed (expunged where the caller may), the
network deleted, the key pair removed last. An intent without an id (the process died, or no answer came) is looked for
by its unique name, an address by its association with our own network. A public address keeps its id for ever: it is
released only after a look that it is still our account's and our network's. Every step may be interrupted and done
again; one failure never hides or stops the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from vrbench.cloud.errors import CloudError, CloudRefused, JobFailed, NotPermitted
from vrbench.cloud.facade import Answer, Cloud
from vrbench.cloud.journal import Entry, Journal, JournalError
from vrbench.cloud.preflight import EXPUNGE_WAIT
from vrbench.cloud.side_by_side import Stop, side_by_side

Progress = Callable[[str], None]

_ON_ADDRESS = ("firewall", "port-forward", "static-nat")
_ON_NETWORK = ("egress",)
_UNSETTLED = ("Starting", "Stopping", "Migrating")
_DESTROYED = ("Destroyed", "Expunging")


@dataclass(frozen=True, slots=True)
class Patience:
    """Deadlines in seconds. ``settle_s``: how long after its intent a call without an answer may still take effect."""

    job_s: float = 600.0
    network_s: float = 300.0
    settle_s: float = 15.0
    poll_s: float = 0.5


@dataclass(frozen=True, slots=True)
class TeardownReport:
    """What went, what is still there and why, and what could not be done or seen; one line each."""

    removed: tuple[str, ...]
    left: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not self.left and not self.problems


@dataclass
class _Removal:
    """One teardown under way; its lists are appended to by several threads."""

    cloud: Cloud
    journal: Journal
    progress: Progress
    patience: Patience
    may_expunge: bool
    stop: Stop = field(default_factory=Stop)
    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def pending(self, *kinds: str) -> list[Entry]:
        return [entry for entry in self.journal.pending() if entry.kind in kinds]

    def gone(self, entry: Entry, tell: bool = True) -> None:
        """Note that the object is no more; a journal that can't be written must not stop the rest."""
        try:
            self.journal.destroyed(entry.key)
        except JournalError as error:
            self.problems.append(str(error))
        if tell:
            self.removed.append(f"{entry.kind} {entry.key}")

    def identified(self, entry: Entry, object_id: str) -> Entry:
        """The entry with the id that a search found, written down as well."""
        try:
            self.journal.created(entry.key, object_id)
        except JournalError as error:
            self.problems.append(str(error))
        return Entry(entry.key, entry.kind, entry.params, object_id, entry.intended_at)

    def run(self, command: str, **params: str | bool) -> Answer:
        job = self.cloud.submit(command, **params)
        return self.cloud.wait(job, self.patience.job_s, self.patience.poll_s, self.stop.check)


def teardown(cloud: Cloud, journal: Journal, progress: Progress, patience: Patience | None = None) -> TeardownReport:
    """Remove everything that the journal has pending. Raises CloudError only when nothing at all can be done here:
    another endpoint, another account, or no answer to the first questions."""
    if not journal.pending():
        return TeardownReport((), (), ())
    removal = _Removal(cloud, journal, progress, patience or Patience(), _may_expunge(cloud))
    _check_account(cloud, journal)
    network = _find_network(removal)
    if network is not None:
        _release_addresses(removal, network)
        _destroy_vms(removal, network)
        _delete_network(removal, network)
    _settle_orphans(removal)
    for entry in removal.pending("keypair"):
        _guarded(removal, entry, partial(_delete_key, removal, entry))
    return TeardownReport(tuple(removal.removed), tuple(removal.left), tuple(removal.problems))


def _may_expunge(cloud: Cloud) -> bool:
    return bool(cloud.call("listCapabilities").get("capability", {}).get("allowuserexpungerecovervm"))


def _check_account(cloud: Cloud, journal: Journal) -> None:
    """Another account may own an address that was ours, and does not see what is ours: nothing may be done as it."""
    head = journal.head
    if head.endpoint != cloud.endpoint:
        raise CloudError(
            f"{journal.path} is about {head.endpoint}, the credentials are for {cloud.endpoint}: use the same endpoint"
        )
    rows = cloud.list("listAccounts", "account")
    if not any(row.get("name") == head.account and row.get("domainid") == head.domain_id for row in rows):
        raise CloudError(f"{journal.path} belongs to account {head.account!r}: use that account's key and secret")


# -- the network


def _find_network(removal: _Removal) -> Entry | None:
    """The journal's network with its id; None when there is none, after writing that down."""
    for entry in removal.pending("network"):
        try:
            found = entry if entry.id else _search(removal, entry, partial(_networks_named, removal, entry))
        except CloudError as error:
            removal.problems.append(f"network {entry.key}: {error}")
            removal.left.append(f"network {entry.key}: it could not be looked for")
            return None
        if found is not None:
            return found
        removal.gone(entry, tell=False)
    return None


def _networks_named(removal: _Removal, entry: Entry) -> list[str]:
    rows = removal.cloud.list("listNetworks", "network", zoneid=entry.params["zone"], keyword=entry.params["name"])
    return [str(row["id"]) for row in rows if row.get("name") == entry.params["name"]]


def _delete_network(removal: _Removal, network: Entry) -> None:
    """Delete it, and again while its VMs are being expunged, up to the deadline."""
    removal.progress(f"deleting network {network.key}")
    until = time.monotonic() + removal.patience.network_s
    while True:
        reason = _try_to_delete(removal, network)
        if not reason:
            removal.gone(network)
            for entry in removal.pending("vm", "address", *_ON_NETWORK, *_ON_ADDRESS):
                removal.gone(entry, tell=entry.kind in ("vm", "address"))
            return
        if "Multiple generic source NAT" in reason or not removal.may_expunge or time.monotonic() >= until:
            break
        removal.progress(f"network {network.key} can't be deleted yet ({reason}); trying again")
        time.sleep(min(2.0, removal.patience.poll_s * 4))
        _destroy_vms(removal, network)
    removal.left.append(f"network {network.key} ({network.id}): {reason}{_why_it_stays(removal, reason)}")


def _try_to_delete(removal: _Removal, network: Entry) -> str:
    """Why it is still there; empty when it is gone."""
    reason = ""
    try:
        removal.run("deleteNetwork", id=str(network.id))
    except CloudError as error:
        reason = error.text if isinstance(error, JobFailed | CloudRefused) else str(error)
    try:
        return (reason or "it is still listed") if _network_row(removal.cloud, str(network.id)) else ""
    except CloudError as error:
        return reason or str(error)


def _why_it_stays(removal: _Removal, reason: str) -> str:
    if "Multiple generic source NAT" in reason:
        return "; it has several source-NAT addresses and no API call can remove it: tell the cloud's administrator"
    if not removal.may_expunge:
        return (
            f"; this account may not expunge its destroyed VMs, the server does so after {EXPUNGE_WAIT}. "
            "Run the clean-up again then"
        )
    return "; run the clean-up again later"


def _network_row(cloud: Cloud, network_id: str) -> Answer | None:
    return _row(cloud, "listNetworks", "network", network_id)


# -- VMs


def _destroy_vms(removal: _Removal, network: Entry) -> None:
    entries = removal.pending("vm")
    if entries:
        removal.progress(f"destroying {len(entries)} VMs side by side")
        calls = [partial(_guarded, removal, entry, partial(_destroy_vm, removal, network, entry)) for entry in entries]
        side_by_side(calls, removal.stop)


def _destroy_vm(removal: _Removal, network: Entry, entry: Entry) -> None:
    found = entry if entry.id else _search(removal, entry, partial(_vms_named, removal, network, entry))
    if found is None:
        removal.gone(entry, tell=False)
        return
    row = _settled_vm(removal.cloud, str(found.id), removal.patience)
    if row is not None and row.get("state") not in _DESTROYED:
        removal.run("destroyVirtualMachine", id=str(found.id), expunge=removal.may_expunge)
    elif row is not None and row.get("state") == "Destroyed" and removal.may_expunge:
        removal.run("expungeVirtualMachine", id=str(found.id))
    _await_vm_gone(removal, found)


def _vms_named(removal: _Removal, network: Entry, entry: Entry) -> list[str]:
    rows = removal.cloud.list("listVirtualMachines", "virtualmachine", networkid=str(network.id))
    return [str(row["id"]) for row in rows if row.get("name") == entry.params["name"]]


def _settled_vm(cloud: Cloud, vm_id: str, patience: Patience) -> Answer | None:
    """The VM, once it is neither starting nor stopping: a server refuses to destroy it meanwhile."""
    until = time.monotonic() + patience.network_s
    while True:
        row = _row(cloud, "listVirtualMachines", "virtualmachine", vm_id)
        if row is None or row.get("state") not in _UNSETTLED or time.monotonic() >= until:
            return row
        time.sleep(patience.poll_s)


def _await_vm_gone(removal: _Removal, entry: Entry) -> None:
    """Gone, or destroyed as far as this caller may destroy it."""
    until = time.monotonic() + removal.patience.network_s
    while True:
        row = _row(removal.cloud, "listVirtualMachines", "virtualmachine", str(entry.id))
        state = "" if row is None else str(row.get("state"))
        if row is None or (state in _DESTROYED and not removal.may_expunge):
            removal.gone(entry)
            return
        if time.monotonic() >= until:
            removal.left.append(f"vm {entry.key} ({entry.id}): still {state}")
            return
        time.sleep(removal.patience.poll_s)


# -- addresses


def _release_addresses(removal: _Removal, network: Entry) -> None:
    """Release ours, and whatever else our network took for intents that never got their answer."""
    entries = removal.pending("address")
    if entries:
        removal.progress(f"releasing {len(entries)} public addresses side by side")
        calls = [
            partial(_guarded, removal, entry, partial(_release, removal, network, entry))
            for entry in _match_addresses(removal, network, entries)
        ]
        side_by_side(calls, removal.stop)


def _match_addresses(removal: _Removal, network: Entry, entries: Sequence[Entry]) -> list[Entry]:
    """The entries with ids: nameless ones get those of our network's addresses that the journal doesn't know."""
    known = [entry for entry in entries if entry.id]
    nameless = [entry for entry in entries if not entry.id]
    if not nameless:
        return known
    ids = {entry.id for entry in known}
    try:
        strangers = _await(
            removal,
            nameless[0],
            lambda: [
                str(row["id"])
                for row in _addresses_of(removal.cloud, str(network.id))
                if row["id"] not in ids and not row.get("issourcenat")
            ],
        )
    except CloudError as error:
        removal.problems.append(f"addresses of network {network.key}: {error}")
        return known
    for entry in nameless[len(strangers) :]:
        removal.gone(entry, tell=False)
    return known + [removal.identified(entry, found) for entry, found in zip(nameless, strangers, strict=False)]


def _addresses_of(cloud: Cloud, network_id: str) -> list[Answer]:
    return cloud.list("listPublicIpAddresses", "publicipaddress", associatednetworkid=network_id)


def _release(removal: _Removal, network: Entry, entry: Entry) -> None:
    row = _associated_address(removal, network, entry)
    if row is not None and row.get("associatednetworkid") == network.id:
        removal.run("disassociateIpAddress", id=str(entry.id))
        row = _own_address(removal, entry)
        if row is not None and row.get("associatednetworkid") == network.id and row.get("state") != "Releasing":
            removal.left.append(f"address {entry.key} ({row.get('ipaddress')}): still {row.get('state')}")
            return
        removal.gone(entry)
    elif row is None or row.get("associatednetworkid"):
        removal.gone(entry, tell=False)  # released already; whose it is now is not our business
    else:
        removal.left.append(
            f"address {entry.key} ({row.get('ipaddress')}): it belongs to this account and to no network, "
            "so it may be somebody else's by now; release it by hand if it is not used"
        )
        return
    for rule in removal.pending(*_ON_ADDRESS):
        if rule.params["address"] == entry.id:
            removal.gone(rule, tell=False)


def _associated_address(removal: _Removal, network: Entry, entry: Entry) -> Answer | None:
    """Our account's address, after a moment in which a job still under way may bring it to our network."""
    until = time.monotonic() + removal.patience.settle_s
    while True:
        row = _own_address(removal, entry)
        if row is None or row.get("associatednetworkid") or time.monotonic() >= until:
            return row
        time.sleep(removal.patience.poll_s)


def _own_address(removal: _Removal, entry: Entry) -> Answer | None:
    row = _row(removal.cloud, "listPublicIpAddresses", "publicipaddress", str(entry.id))
    head = removal.journal.head
    ours = row is not None and row.get("account") == head.account and row.get("domainid") == head.domain_id
    return row if ours else None


# -- the rest


def _settle_orphans(removal: _Removal) -> None:
    """Whatever hung on a network that is gone, or never came to be, is gone with it."""
    if removal.pending("network"):
        return
    for entry in removal.pending("vm", "address", *_ON_NETWORK, *_ON_ADDRESS):
        removal.gone(entry, tell=False)


def _delete_key(removal: _Removal, entry: Entry) -> None:
    name = entry.params["name"]
    if not entry.id and _search(removal, entry, partial(_keys_named, removal, name)) is None:
        removal.gone(entry, tell=False)
        return
    try:
        removal.cloud.call("deleteSSHKeyPair", name=name)
    except CloudRefused as refused:
        if not refused.means_gone:
            raise
    if _keys_named(removal, name):
        removal.left.append(f"key pair {name}: still listed")
    else:
        removal.gone(entry)


def _keys_named(removal: _Removal, name: str) -> list[str]:
    rows = removal.cloud.list("listSSHKeyPairs", "sshkeypair", name=name)
    return [name for row in rows if row.get("name") == name]


def _search(removal: _Removal, entry: Entry, look: Callable[[], list[str]]) -> Entry | None:
    """The entry with the id that its unique name leads to; None when nothing came of the intent."""
    ids = _await(removal, entry, look)
    if len(ids) > 1:
        raise CloudError(f"{len(ids)} things are called {entry.key}; which one is ours is not known, remove it by hand")
    return removal.identified(entry, ids[0]) if ids else None


def _await(removal: _Removal, entry: Entry, look: Callable[[], list[str]]) -> list[str]:
    """Look until something is found, or the intent is too old for a call under way to take effect any more."""
    while True:
        ids = look()
        age_s = (datetime.now(UTC) - entry.intended_at).total_seconds()
        if ids or age_s >= removal.patience.settle_s or age_s < 0:
            return ids
        time.sleep(removal.patience.poll_s)


def _row(cloud: Cloud, command: str, name: str, object_id: str) -> Answer | None:
    """The object as listed; None when it is gone: an unknown id is refused, a deleted one gives an empty list."""
    try:
        rows = cloud.list(command, name, id=object_id)
    except CloudRefused as refused:
        if refused.means_gone:
            return None
        raise
    return next((row for row in rows if row.get("id") == object_id), None)


def _guarded(removal: _Removal, entry: Entry, remove: Callable[[], None]) -> None:
    """Carry out one removal; its failure is written down and keeps none of the others from being tried."""
    try:
        remove()
    except CloudError as error:
        if not (
            isinstance(error, JobFailed | CloudRefused) and not isinstance(error, NotPermitted) and error.means_gone
        ):
            removal.problems.append(f"{entry.kind} {entry.key}: {error}")
            return
        removal.gone(entry, tell=False)
