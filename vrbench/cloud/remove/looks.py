"""How a removal finds what the journal names: by its id, and by the name and the tag that vrbench gave.

Nothing is believed to be gone before two looks, a moment apart, have found it neither way: an answer may be none, an id
may be damaged, and a call of the build may still be under way.
"""

from __future__ import annotations

import time

from vrbench.cloud.api.facade import Answer
from vrbench.cloud.environment_plan import TAG
from vrbench.cloud.errors import CloudError, CloudRefused
from vrbench.cloud.journal.replay import JournalEntry
from vrbench.cloud.remove.removal import Removal

LISTS = {
    "network": ("listNetworks", "network"),
    "vm": ("listVirtualMachines", "virtualmachine"),
    "address": ("listPublicIpAddresses", "publicipaddress"),
    "keypair": ("listSSHKeyPairs", "sshkeypair"),
    "offering": ("listNetworkOfferings", "networkoffering"),
}
_LOOKS = 2
_PROJECT_ACCOUNT = "PrjAcct-"


def find(removal: Removal, entry: JournalEntry) -> JournalEntry | None:
    """Return the entry with the id that it is found by; None when nothing of it is there. Raises CloudError."""
    settled = 0.0 if entry.id else removal.settled_at([entry])
    looks = 0
    while True:
        row = look(removal, entry)
        if row is not None:
            found = removal.identified(entry, str(row["name" if entry.kind == "keypair" else "id"]))
            removal.networks |= {str(found.id)} if entry.kind == "network" else set()
            return found
        looks += 1
        if looks >= _LOOKS and time.monotonic() >= settled:
            return None
        removal.pause()


def look(removal: Removal, entry: JournalEntry) -> Answer | None:
    """Return the object's row, looked for once by its id and once by its name."""
    return by_id(removal, entry) or by_name(removal, entry)


def by_id(removal: Removal, entry: JournalEntry) -> Answer | None:
    """Return the object's row; None when it is gone: an unknown id is refused, a deleted one gives an empty list."""
    if not entry.id or entry.kind == "keypair":
        return None
    return next((row for row in rows_by_id(removal, entry.kind, id=entry.id) if row.get("id") == entry.id), None)


def rows_by_id(removal: Removal, kind: str, **ids: str) -> list[Answer]:
    """Return the rows that an id asks for: there are none where the server says that there is no such id."""
    try:
        return removal.rows(*LISTS[kind], **ids)
    except CloudRefused as refused:
        if refused.means_gone:
            return []
        raise


def by_name(removal: Removal, entry: JournalEntry) -> Answer | None:
    """Return the row of our account's object of exactly this name; the run's tag decides between several."""
    name = entry.params["name"]
    asked = {"keyword": name} if entry.kind == "network" else {"name": name}
    rows = [row for row in removal.rows(*LISTS[entry.kind], **asked) if row.get("name") == name]
    rows = [row for row in rows if entry.kind == "offering" or ours(removal, row)]  # nobody owns an offering
    if len(rows) > 1:
        rows = [row for row in rows if tagged(removal, row)] or rows
    if len(rows) > 1:
        raise CloudError(
            f"{len(rows)} objects are called {name}: find out which one is this run's, and remove it by hand"
        )
    return rows[0] if rows else None


def ours(removal: Removal, row: Answer) -> bool:
    """Return whether the row is of the account or the project that we built for: others' may be shown as well."""
    head = removal.journal.head
    if head.project_id and "projectid" not in row:  # of key pairs, servers before 4.18 show the project's own account
        return str(row.get("account")).startswith(_PROJECT_ACCOUNT)
    if head.project_id:
        return bool(row["projectid"] == head.project_id)
    return (row.get("account"), row.get("domainid")) == (head.account, head.domain_id)


def tagged(removal: Removal, row: Answer) -> bool:
    """Return whether the row carries the tag that vrbench gave it for this run."""
    mine = (TAG, removal.journal.head.run_id)
    return any((tag.get("key"), tag.get("value")) == mine for tag in row.get("tags", []))
