"""Public addresses: released while they are ours.

A public address keeps its id for ever, and has no name. So it is released only after a look that it is still our
account's and on our network; one without an id is looked for on our network.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from vrbench.cloud.api.calls import ON_ROUTER, all_answers
from vrbench.cloud.api.facade import Answer
from vrbench.cloud.errors import CloudError
from vrbench.cloud.journal.replay import JournalEntry
from vrbench.cloud.remove.looks import by_id, ours, rows_by_id
from vrbench.cloud.remove.progress import NOUNS
from vrbench.cloud.remove.removal import Removal
from vrbench.core.text import some

RULES = ("firewall", "port-forward", "static-nat")  # what hangs on an address


def release_addresses(removal: Removal) -> None:
    """Release all that are pending, a few at once: the router forgets their rules one after the other."""
    entries = _with_ids(removal, removal.pending("address"))
    if entries:
        doing = f"releasing {some(len(entries), *NOUNS['address'])}, {ON_ROUTER} at once"
        removal.progress.begin(doing, "address")
        release = partial(_release, removal)
        all_answers([partial(removal.attempt, entry, release) for entry in entries], removal.stop, width=ON_ROUTER)


def forget_address(removal: Removal, entry: JournalEntry) -> None:
    """Strike an address that is not with our network any more, unless our account still holds it unused."""
    row = _own_address(removal, entry)
    if row is not None and not row.get("associatednetworkid"):
        removal.stays(
            entry,
            f"{row.get('ipaddress')} belongs to this account and to no network, so somebody may have acquired it anew; "
            "release it by hand if it is not used",
        )
        return
    removal.never_was(entry)
    _forget_rules(removal, entry)


def _with_ids(removal: Removal, entries: Sequence[JournalEntry]) -> list[JournalEntry]:
    """Give entries that can't be found by an id the addresses of our network that the journal doesn't know.

    Nobody else uses that network, and whatever is on it goes with it anyway.
    """
    nameless = [entry for entry in entries if not entry.id]
    try:
        lost = [entry for entry in entries if entry.id and _own_address(removal, entry) is None]
        found = _unknown_ones(removal, nameless, len(nameless) + len(lost))
    except CloudError as error:
        for entry in nameless:
            removal.failed(entry, error)
        return [entry for entry in entries if entry.id]
    for entry in nameless[len(found) :]:
        removal.never_was(entry)
    named = {e.key: removal.identified(e, address) for e, address in zip([*nameless, *lost], found, strict=False)}
    return [named.get(entry.key, entry) for entry in entries if entry.id or entry.key in named]


def _unknown_ones(removal: Removal, nameless: list[JournalEntry], wanted: int) -> list[str]:
    """Look until so many are there, or no call of the build can bring about another one; twice at least."""
    settled, looks = removal.settled_at(nameless) if nameless else 0.0, 0
    known = removal.journal.ids()
    while wanted:
        shown = [str(row["id"]) for row in _on_our_network(removal) if not row.get("issourcenat")]
        unknown = [address for address in shown if address not in known]
        looks += 1
        if len(unknown) >= wanted or (looks > 1 and time.monotonic() >= settled):
            return unknown[:wanted]
        removal.pause()
    return []


def _on_our_network(removal: Removal) -> list[Answer]:
    """Return our account's addresses there; for a network that is gone, a server shows all that the account has."""
    rows = [rows_by_id(removal, "address", associatednetworkid=network) for network in sorted(removal.networks)]
    return [row for found in rows for row in found if ours(removal, row) and _is_with_us(removal, row)]


def _release(removal: Removal, entry: JournalEntry) -> None:
    if not _is_with_us(removal, _associated_address(removal, entry)):
        forget_address(removal, entry)
        return
    act = partial(removal.job, "disassociateIpAddress", id=str(entry.id))
    failure = removal.ask(act, lambda: not _stays(removal, _own_address(removal, entry)))
    row = _own_address(removal, entry)
    if row is None or not _stays(removal, row):
        removal.gone(entry)
        _forget_rules(removal, entry)
        return
    said = f"{row.get('ipaddress')} is still {row.get('state')} after its release; {removal.again} later"
    raise failure or CloudError(said)


def _is_with_us(removal: Removal, row: Answer | None) -> bool:
    return row is not None and row.get("associatednetworkid") in removal.networks


def _stays(removal: Removal, row: Answer | None) -> bool:
    return row is not None and _is_with_us(removal, row) and row.get("state") != "Releasing"


def _forget_rules(removal: Removal, address: JournalEntry) -> None:
    for rule in removal.pending(*RULES):
        if rule.params.get("address") == address.id:
            removal.never_was(rule)


def _associated_address(removal: Removal, entry: JournalEntry) -> Answer | None:
    """Return our account's address, after a moment in which a job still under way may bring it to its network."""
    until, looks = time.monotonic() + removal.deadlines.settle_s, 0
    while True:
        row = _own_address(removal, entry)
        looks += 1
        if row is None and looks > 1:
            return None
        if row is not None and (row.get("associatednetworkid") or time.monotonic() >= until):
            return row
        removal.pause()


def _own_address(removal: Removal, entry: JournalEntry) -> Answer | None:
    """Return the row of our account's address, looked for by its id, and among those of our network."""
    row = by_id(removal, entry) or next((r for r in _on_our_network(removal) if r["id"] == entry.id), None)
    return row if row is not None and ours(removal, row) else None
