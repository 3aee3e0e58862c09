"""What a journal may have lost: after damage, and by the tag that vrbench gave.

What a damaged journal may not list any more is looked for by the exact names that this run gave; a VM must be on our
network or carry the run's tag besides. What only carries the tag is told to the operator, and not touched.
"""

from __future__ import annotations

import re

from vrbench.cloud.api.facade import Answer
from vrbench.cloud.environment_plan import TAG
from vrbench.cloud.errors import CloudError
from vrbench.cloud.journal.replay import nameless
from vrbench.cloud.remove.looks import LISTS, ours, tagged
from vrbench.cloud.remove.removal import Removal
from vrbench.cloud.remove.vms import DESTROYED


def suspect_lost(removal: Removal) -> None:
    """Take as pending what the damaged lines may have been about. Raises CloudError when that can't be looked for."""
    prefix = removal.journal.prefix()
    for kind, name in (("network", f"{prefix}-net"), ("keypair", f"{prefix}-key"), ("offering", f"{prefix}-offering")):
        removal.journal.suspect(nameless(kind, name))
    removal.networks |= {str(row["id"]) for row in _rows_named(removal, "network", prefix, "net")}
    for row in _rows_named(removal, "vm", prefix, r"vm\d+"):
        on_our_network = any(nic.get("networkid") in removal.networks for nic in row.get("nic", []))
        if on_our_network or tagged(removal, row):
            removal.journal.suspect(nameless("vm", str(row["name"]), str(row["id"])))


def _rows_named(removal: Removal, kind: str, prefix: str, rest: str) -> list[Answer]:
    rows = removal.rows(*LISTS[kind], keyword=prefix)
    name = re.compile(rf"{re.escape(prefix)}-{rest}")
    return [row for row in rows if name.fullmatch(str(row.get("name"))) and ours(removal, row)]


def note_strays(removal: Removal) -> None:
    """Tell what carries the run's tag and is not in its journal: a journal can lose its last lines unseen."""
    tag = {"tags[0].key": TAG, "tags[0].value": removal.journal.head.run_id}
    known = removal.journal.ids()
    for kind in ("network", "vm"):
        try:
            rows = removal.rows(*LISTS[kind], **tag)
        except CloudError as error:
            removal.note(f"whether anything else of this run stands could not be looked up by its tag: {error}")
            return
        removal.strays += [_told(kind, row) for row in rows if row.get("id") not in known and _stands(removal, row)]


def _stands(removal: Removal, row: Answer) -> bool:
    return ours(removal, row) and tagged(removal, row) and row.get("state") not in DESTROYED


def _told(kind: str, row: Answer) -> str:
    return (
        f"{kind} {row.get('name')} ({row.get('id')}): it carries this run's tag and is not in its journal; look at it "
        "in the cloud, and remove it by hand if it is the run's"
    )
