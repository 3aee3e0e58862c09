"""Remove what a journal says was made, and nothing else.

Backwards: addresses are released (their rules go with them), VMs destroyed, and expunged where the caller may, the
network deleted, the key pair removed last. An intent without an id (the process died, or no answer came) is looked for
by its unique name, an address by its association with our own network. A public address keeps its id for ever: it is
released only after a look that it is still our account's and our network's. Every step may be interrupted and done
again; one failure never hides or stops the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from vrbench.cloud.calls import all_answers
from vrbench.cloud.errors import CloudError, CloudRefused, JobFailed
from vrbench.cloud.facade import Answer, Cloud
from vrbench.cloud.journal import Journal, JournalEntry
from vrbench.cloud.preflight import EXPUNGE_WAIT, own_account
from vrbench.cloud.removal import Deadlines, Removal, RemovalReport, listed
from vrbench.core.text import some

_RULES = ("firewall", "port-forward", "static-nat")  # what hangs on an address
_UNSETTLED = ("Starting", "Stopping", "Migrating")
_DESTROYED = ("Destroyed", "Expunging")
_EXTRA_SOURCE_NAT = "Multiple generic source NAT"


def remove_journaled(
    cloud: Cloud, journal: Journal, progress: Callable[[str], None], deadlines: Deadlines | None = None
) -> RemovalReport:
    """Remove everything that the journal has pending, and check that it is gone.

    Raises CloudError only when nothing at all may be done: another endpoint, another account, or no answer.
    """
    if not journal.pending():
        return RemovalReport((), (), ())
    _check_account(cloud, journal)
    may_expunge = bool(cloud.call("listCapabilities").get("capability", {}).get("allowuserexpungerecovervm"))
    removal = Removal(cloud, journal, progress, deadlines or Deadlines(), may_expunge)
    for entry in removal.pending("network"):
        removal.attempt(entry, partial(_remove_network, removal))
    if not removal.pending("network"):
        _settle_rest(removal)
    for entry in removal.pending("keypair"):
        removal.attempt(entry, partial(_remove_key, removal))
    return removal.report()


def _check_account(cloud: Cloud, journal: Journal) -> None:
    """Refuse another account: it may own an address that was ours by now, and does not see what is ours."""
    head = journal.head
    if head.endpoint != cloud.endpoint:
        raise CloudError(
            f"{journal.path} is about {head.endpoint}, the credentials are for {cloud.endpoint}: use the same endpoint"
        )
    account = own_account(cloud)
    if account is None or (account.get("name"), account.get("domainid")) != (head.account, head.domain_id):
        raise CloudError(f"{journal.path} belongs to account {head.account!r}: use that account's key and secret")


def _remove_network(removal: Removal, entry: JournalEntry) -> None:
    """Remove the network and everything in it."""
    network = removal.find(entry, partial(_networks_named, removal, entry))
    if network is None or _network_row(removal, network) is None:
        removal.never_was(entry)
        return
    _release_addresses(removal, network)
    _destroy_vms(removal, network)
    _delete_network(removal, network)


def _networks_named(removal: Removal, entry: JournalEntry) -> list[str]:
    rows = removal.cloud.list("listNetworks", "network", zoneid=entry.params["zone"], keyword=entry.params["name"])
    return [str(row["id"]) for row in rows if row.get("name") == entry.params["name"]]


def _network_row(removal: Removal, network: JournalEntry) -> Answer | None:
    return listed(removal.cloud, "listNetworks", "network", str(network.id))


def _delete_network(removal: Removal, network: JournalEntry) -> None:
    """Delete the network; try again while its VMs are being expunged, up to the deadline."""
    removal.progress(f"deleting network {network.key}")
    until = time.monotonic() + removal.deadlines.network_s
    while reason := _try_to_delete(removal, network):
        hopeless = _EXTRA_SOURCE_NAT in reason or not removal.may_expunge
        if hopeless or time.monotonic() >= until:
            awaiting = not removal.may_expunge and _EXTRA_SOURCE_NAT not in reason
            removal.stays(network, reason + _what_then(removal, reason), awaiting_expunge=awaiting)
            return
        removal.progress(f"network {network.key} can't be deleted yet ({reason}); trying again")
        time.sleep(removal.deadlines.poll_s)
        _destroy_vms(removal, network)
    removal.gone(network)


def _try_to_delete(removal: Removal, network: JournalEntry) -> str:
    """Ask for the deletion once; return why the network is still there, empty when it is gone."""
    reason = "it is still listed"
    try:
        removal.run("deleteNetwork", id=str(network.id))
    except CloudError as error:
        reason = error.text if isinstance(error, JobFailed | CloudRefused) else str(error)
    return reason if _network_row(removal, network) is not None else ""


def _what_then(removal: Removal, reason: str) -> str:
    if _EXTRA_SOURCE_NAT in reason:
        return "; it has several source-NAT addresses and no API call can remove it: tell the cloud's administrator"
    if removal.may_expunge:
        return f"; {removal.again} later"
    return (
        f"; this account may not expunge its destroyed VMs, the server does so after {EXPUNGE_WAIT}: "
        f"{removal.again} then"
    )


def _settle_rest(removal: Removal) -> None:
    """Strike what was in a network that is gone, or never came to be; look at its addresses once more."""
    for entry in removal.pending("vm", "egress", *_RULES):
        removal.never_was(entry)
    for entry in removal.pending("address"):
        removal.attempt(entry, partial(_forget_address, removal))


# -- VMs


def _destroy_vms(removal: Removal, network: JournalEntry) -> None:
    entries = removal.pending("vm")
    if entries:
        removal.progress(f"destroying {some(len(entries), 'VM')} in parallel")
        destroy = partial(_destroy_vm, removal, network)
        all_answers([partial(removal.attempt, entry, destroy) for entry in entries], removal.stop)


def _destroy_vm(removal: Removal, network: JournalEntry, entry: JournalEntry) -> None:
    vm = removal.find(entry, partial(_vms_named, removal, network, entry))
    if vm is None:
        removal.never_was(entry)
        return
    row = _settled_vm(removal, vm)
    failure: CloudError | None = None
    try:
        if row is not None and row.get("state") not in _DESTROYED:
            removal.run("destroyVirtualMachine", id=str(vm.id), expunge=removal.may_expunge)
        elif row is not None and row.get("state") == "Destroyed" and removal.may_expunge:
            removal.run("expungeVirtualMachine", id=str(vm.id))
    except CloudError as error:
        failure = error
    _await_vm_gone(removal, vm, failure)


def _vms_named(removal: Removal, network: JournalEntry, entry: JournalEntry) -> list[str]:
    rows = removal.cloud.list("listVirtualMachines", "virtualmachine", networkid=str(network.id))
    return [str(row["id"]) for row in rows if row.get("name") == entry.params["name"]]


def _vm_row(removal: Removal, vm: JournalEntry) -> Answer | None:
    return listed(removal.cloud, "listVirtualMachines", "virtualmachine", str(vm.id))


def _settled_vm(removal: Removal, vm: JournalEntry) -> Answer | None:
    """Wait until the VM neither starts nor stops, and return its row: a server may refuse to destroy it meanwhile."""
    until = time.monotonic() + removal.deadlines.network_s
    while (row := _vm_row(removal, vm)) is not None:
        if row.get("state") not in _UNSETTLED or time.monotonic() >= until:
            return row
        removal.stop.check()
        time.sleep(removal.deadlines.poll_s)
    return None


def _await_vm_gone(removal: Removal, vm: JournalEntry, failure: CloudError | None) -> None:
    """Wait until the VM is gone, or destroyed as far as this caller may; after a failure one look decides."""
    until = time.monotonic() + removal.deadlines.network_s
    while (row := _vm_row(removal, vm)) is not None:
        state = str(row.get("state"))
        if state in _DESTROYED and not removal.may_expunge:
            break
        if failure is not None:
            raise failure
        if time.monotonic() >= until:
            removal.stays(vm, f"it is still {state}; {removal.again} later")
            return
        removal.stop.check()
        time.sleep(removal.deadlines.poll_s)
    removal.gone(vm, "" if removal.may_expunge else ", destroyed but not expunged")


# -- addresses


def _release_addresses(removal: Removal, network: JournalEntry) -> None:
    entries = _with_ids(removal, network, removal.pending("address"))
    if entries:
        removal.progress(f"releasing {len(entries)} public addresses in parallel")
        release = partial(_release, removal, network)
        all_answers([partial(removal.attempt, entry, release) for entry in entries], removal.stop)


def _with_ids(removal: Removal, network: JournalEntry, entries: Sequence[JournalEntry]) -> list[JournalEntry]:
    """Give nameless entries the addresses of our network that the journal doesn't know: nobody else uses it."""
    known = [entry for entry in entries if entry.id]
    nameless = [entry for entry in entries if not entry.id]
    if not nameless:
        return known
    ids = {entry.id for entry in known}

    def unknown() -> list[str]:
        rows = removal.cloud.list("listPublicIpAddresses", "publicipaddress", associatednetworkid=str(network.id))
        return [str(row["id"]) for row in rows if row["id"] not in ids and not row.get("issourcenat")]

    try:
        found = removal.look_for(nameless, unknown)
    except CloudError as error:
        for entry in nameless:
            removal.stays(entry, str(error))
        return known
    for entry in nameless[len(found) :]:
        removal.never_was(entry)
    return known + [removal.identified(entry, address) for entry, address in zip(nameless, found, strict=False)]


def _release(removal: Removal, network: JournalEntry, entry: JournalEntry) -> None:
    row = _associated_address(removal, entry)
    if row is None or row.get("associatednetworkid") != network.id:
        _forget_address(removal, entry)
        return
    removal.run("disassociateIpAddress", id=str(entry.id))
    row = _own_address(removal, entry)
    if row is not None and row.get("associatednetworkid") == network.id and row.get("state") != "Releasing":
        removal.stays(
            entry, f"{row.get('ipaddress')} is still {row.get('state')} after its release; {removal.again} later"
        )
        return
    removal.gone(entry)
    _forget_rules(removal, entry)


def _forget_address(removal: Removal, entry: JournalEntry) -> None:
    """Strike an address that is not with our network any more, unless our account still holds it unused."""
    row = _own_address(removal, entry) if entry.id else None
    if row is not None and not row.get("associatednetworkid"):
        removal.stays(
            entry,
            f"{row.get('ipaddress')} belongs to this account and to no network, so somebody may have acquired it anew; "
            "release it by hand if it is not used",
        )
        return
    removal.never_was(entry)
    _forget_rules(removal, entry)


def _forget_rules(removal: Removal, address: JournalEntry) -> None:
    for rule in removal.pending(*_RULES):
        if rule.params["address"] == address.id:
            removal.never_was(rule)


def _associated_address(removal: Removal, entry: JournalEntry) -> Answer | None:
    """Return our account's address, after a moment in which a job still under way may bring it to its network."""
    until = time.monotonic() + removal.deadlines.settle_s
    while True:
        row = _own_address(removal, entry)
        if row is None or row.get("associatednetworkid") or time.monotonic() >= until:
            return row
        removal.stop.check()
        time.sleep(removal.deadlines.poll_s)


def _own_address(removal: Removal, entry: JournalEntry) -> Answer | None:
    row = listed(removal.cloud, "listPublicIpAddresses", "publicipaddress", str(entry.id))
    head = removal.journal.head
    ours = row is not None and (row.get("account"), row.get("domainid")) == (head.account, head.domain_id)
    return row if ours else None


# -- the key pair


def _remove_key(removal: Removal, entry: JournalEntry) -> None:
    key = removal.find(entry, partial(_keys_named, removal, entry))
    if key is None:
        removal.never_was(entry)
        return
    try:
        removal.cloud.call("deleteSSHKeyPair", name=entry.params["name"])
    except CloudRefused as refused:
        if not refused.means_gone:
            raise
    if _keys_named(removal, entry):
        removal.stays(entry, f"it is still listed after its deletion; {removal.again} later")
    else:
        removal.gone(entry)


def _keys_named(removal: Removal, entry: JournalEntry) -> list[str]:
    name = entry.params["name"]
    rows = removal.cloud.list("listSSHKeyPairs", "sshkeypair", name=name)
    return [name for row in rows if row.get("name") == name]
