"""Remove what a journal says was made, and nothing else.

Backwards: addresses are released (their rules go with them), VMs destroyed, and expunged where the caller may, the
network deleted, then its offering if the run made one, and the key pair last. What has no id in the journal, or is not
found by it, is looked for by its unique name, an address by its association with our own network. Every step may be
interrupted and done again; one failure never hides or stops the others, and what is left after a first round is tried
once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from vrbench.cloud.api.facade import Answer, Cloud
from vrbench.cloud.api.patience import look_again, may_pass
from vrbench.cloud.api.turned_away import WhenTurnedAway
from vrbench.cloud.check.owners import can_look_into
from vrbench.cloud.check.preflight import EXPUNGE_WAIT, own_account
from vrbench.cloud.errors import CloudError, CloudRefused, JobFailed, NotCloudStack
from vrbench.cloud.journal.journal import Journal
from vrbench.cloud.journal.replay import JournalEntry
from vrbench.cloud.remove.addresses import RULES, forget_address, release_addresses
from vrbench.cloud.remove.looks import find, look
from vrbench.cloud.remove.removal import Deadlines, Removal, RemovalReport
from vrbench.cloud.remove.salvage import note_strays, suspect_lost
from vrbench.cloud.remove.vms import destroy_vms, find_late_vms
from vrbench.parallel import CancelToken

_EXTRA_SOURCE_NAT = "Multiple generic source NAT"
_ROUNDS = 2
_SLOWEST_POLL = 20  # times the usual one, while the network can't be deleted


def remove_journaled(
    cloud: Cloud, journal: Journal, progress: Callable[[str], None], deadlines: Deadlines | None = None
) -> RemovalReport:
    """Remove everything that the journal has pending, and check that it is gone.

    Raises CloudError only when nothing at all may be done: another endpoint, another account, or no answer.
    """
    if not journal.pending() and not journal.damage:
        return RemovalReport((), (), ())
    stop = CancelToken()
    with cloud.waits_by(WhenTurnedAway(progress, stop.sleep)):
        return _remove(cloud, journal, progress, deadlines or Deadlines(), stop)


def _remove(
    cloud: Cloud, journal: Journal, progress: Callable[[str], None], waits: Deadlines, stop: CancelToken
) -> RemovalReport:
    cloud = _as_owner(cloud, journal, waits)
    capability = look_again(partial(_capability, cloud), waits.read_s, waits.poll_s)
    removal = Removal(cloud, journal, progress, waits, bool(capability.get("allowuserexpungerecovervm")), stop)
    if journal.damage:
        suspect_lost(removal)
    for number in range(1, _ROUNDS + 1):
        _remove_all(removal)
        if number == _ROUNDS or not removal.worth_another_round():
            break
        progress("not everything went: trying what is left once more")
        removal.pause(waits.round_s)
    note_strays(removal)
    return removal.report()


def _remove_all(removal: Removal) -> None:
    """Go through everything that is pending, once."""
    for entry in removal.pending("network"):
        removal.attempt(entry, partial(_find_network, removal))
    release_addresses(removal)
    destroy_vms(removal)
    for entry in removal.pending("network"):
        removal.attempt(entry, partial(_delete_network, removal))
    if not removal.pending("network"):
        _settle_rest(removal)
        for entry in removal.pending("offering"):
            removal.attempt(entry, partial(_remove_offering, removal))
    for entry in removal.pending("keypair"):
        removal.attempt(entry, partial(_remove_key, removal))


def _as_owner(cloud: Cloud, journal: Journal, waits: Deadlines) -> Cloud:
    """Return the cloud as the owner of what was built sees it. Raises CloudError for who may not act for it.

    That is the account itself, an administrator of its domain, and of a project whoever may look into it. A journal
    whose head is damaged is taken to be the caller's, unless another line says whose it is.
    """
    head = journal.head
    if head.endpoint and head.endpoint != cloud.endpoint:
        raise CloudError(
            f"{journal.path} is about {head.endpoint}, the credentials are for {cloud.endpoint}: use the same endpoint"
        )
    account = look_again(partial(_account, cloud), waits.read_s, waits.poll_s)
    name, domain = str(account.get("name")), str(account.get("domainid"))
    if not head.account:
        journal.belongs_to(cloud.endpoint, name, domain)
        head = journal.head
    if not head.project_id and (name, domain) == (head.account, head.domain_id):
        return cloud
    if not look_again(partial(can_look_into, cloud, head.owner), waits.read_s, waits.poll_s):
        raise CloudError(_not_theirs(journal))
    return cloud.acting_for(head.owner)


def _not_theirs(journal: Journal) -> str:
    head = journal.head
    if head.project_id:
        return (
            f"{journal.path} is about the project {head.project_id}, into which these keys may not look: use the keys "
            f"of account {head.account!r}, of another that is in the project, or of an administrator. If the project "
            "was deleted, what was in it went with it"
        )
    return (
        f"{journal.path} belongs to account {head.account!r}: use that account's key and secret, or those of an "
        "administrator of its domain. If the account was deleted, what it had went with it"
    )


def _account(cloud: Cloud) -> Answer:
    account = own_account(cloud)
    if account is None:
        raise NotCloudStack("listAccounts", cloud.endpoint, "it does not show the caller's account", may_have_run=False)
    return account


def _capability(cloud: Cloud) -> Answer:
    capability: Answer = cloud.call("listCapabilities")["capability"]
    return capability


# -- the network


def _find_network(removal: Removal, entry: JournalEntry) -> None:
    if find(removal, entry) is None:
        removal.never_was(entry)


def _delete_network(removal: Removal, network: JournalEntry) -> None:
    """Delete the network; try again while its VMs are being expunged, up to the deadline."""
    found = find(removal, network)
    if found is None:
        removal.never_was(network)
        return
    removal.progress.begin("deleting the network", "network")
    tries = 0
    while (error := _try_to_delete(removal, found)) is not None:
        tries += 1
        found_late = find_late_vms(removal, found)
        if not found_late and (_is_hopeless(removal, error) or time.monotonic() >= removal.network_until):
            awaiting = not removal.may_expunge and _EXTRA_SOURCE_NAT not in str(error)
            said = _reason(error) + _what_then(removal, str(error))
            removal.stays(found, said, awaiting_expunge=awaiting)
            return
        removal.pause(min(2**tries, _SLOWEST_POLL) * removal.deadlines.poll_s)
        destroy_vms(removal)
    removal.gone(found)


def _try_to_delete(removal: Removal, network: JournalEntry) -> CloudError | None:
    """Ask for the deletion once; return why the network is still there, None when it is gone."""
    act = partial(removal.job, "deleteNetwork", id=str(network.id))
    failure = removal.ask(act, lambda: look(removal, network) is None)
    return None if look(removal, network) is None else failure or CloudError("it is still listed")


def _is_hopeless(removal: Removal, error: CloudError) -> bool:
    """Return whether another try in some seconds would end as this one did."""
    return _EXTRA_SOURCE_NAT in str(error) or (not removal.may_expunge and not may_pass(error))


def _reason(error: CloudError) -> str:
    return error.text if isinstance(error, JobFailed | CloudRefused) else str(error)


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
    """Strike the rules of a network that is gone, or never came to be; look at its addresses once more."""
    for entry in removal.pending("egress", *RULES):
        removal.never_was(entry)
    for entry in removal.pending("address"):
        removal.attempt(entry, partial(forget_address, removal))


# -- the network offering and the key pair


def _remove_offering(removal: Removal, entry: JournalEntry) -> None:
    offering = find(removal, entry)
    if offering is not None:
        _remove_at_once(removal, offering, "deleteNetworkOffering", id=str(offering.id))
    else:
        removal.never_was(entry)


def _remove_key(removal: Removal, entry: JournalEntry) -> None:
    key = find(removal, entry)
    if key is not None:
        _remove_at_once(removal, key, "deleteSSHKeyPair", name=entry.params["name"])
    else:
        removal.never_was(entry)


def _remove_at_once(removal: Removal, entry: JournalEntry, command: str, **which: str) -> None:
    """Remove what goes without a job."""
    failure = removal.ask(partial(removal.cloud.call, command, **which), lambda: look(removal, entry) is None)
    if look(removal, entry) is None:
        removal.gone(entry)
    else:
        raise failure or CloudError(f"it is still listed after its deletion; {removal.again} later")
