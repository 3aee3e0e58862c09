"""VMs: destroyed, and expunged where the caller may; whatever state they are in, Error included."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from vrbench.cloud.api.calls import all_answers
from vrbench.cloud.api.facade import Answer
from vrbench.cloud.journal.replay import JournalEntry
from vrbench.cloud.remove.looks import find, look, ours, rows_by_id
from vrbench.cloud.remove.removal import Removal
from vrbench.core.text import some

_UNSETTLED = ("Starting", "Stopping", "Migrating")
DESTROYED = ("Destroyed", "Expunging")


def destroy_vms(removal: Removal) -> None:
    """Destroy all that are pending, in parallel."""
    entries = removal.pending("vm")
    if entries:
        removal.progress.begin(f"destroying {some(len(entries), 'VM')}", "vm")
        destroy = partial(_destroy_vm, removal)
        all_answers([partial(removal.attempt, entry, destroy) for entry in entries], removal.stop)


def find_late_vms(removal: Removal, network: JournalEntry) -> bool:
    """Take as pending what came about on our network after the journal had given up on it; return whether any did."""
    pending = {entry.key for entry in removal.pending("vm")}
    given_up = {key: entry for key, entry in removal.journal.intended("vm").items() if key not in pending}
    standing = [row for row in rows_by_id(removal, "vm", networkid=str(network.id)) if ours(removal, row)]
    late = [row for row in standing if row.get("name") in given_up and row.get("state") not in DESTROYED]
    for row in late:
        removal.is_there_after_all(given_up[str(row["name"])], str(row["id"]))
    return bool(late)


def _destroy_vm(removal: Removal, entry: JournalEntry) -> None:
    vm = find(removal, entry)
    if vm is None:
        removal.never_was(entry)
        return
    act = _what_to_ask(removal, vm, _settled_state(removal, vm))
    failure = removal.ask(act, lambda: _is_done(removal, look(removal, vm))) if act else None
    if failure is not None:
        raise failure
    _await_gone(removal, vm)


def _what_to_ask(removal: Removal, vm: JournalEntry, state: str) -> Callable[[], object] | None:
    if state not in ("", *DESTROYED):
        return partial(removal.job, "destroyVirtualMachine", id=str(vm.id), expunge=removal.may_expunge)
    if state == "Destroyed" and removal.may_expunge:
        return partial(removal.job, "expungeVirtualMachine", id=str(vm.id))
    return None


def _is_done(removal: Removal, row: Answer | None) -> bool:
    """Return whether nothing more is to be asked for: it is being expunged, or as far as this caller may."""
    if row is None or row.get("state") == "Expunging":
        return True
    return row.get("state") == "Destroyed" and not removal.may_expunge


def _settled_state(removal: Removal, vm: JournalEntry) -> str:
    """Wait until the VM neither starts nor stops: a server may refuse to destroy it meanwhile. '' when it is gone."""
    until = time.monotonic() + removal.deadlines.network_s
    while (row := look(removal, vm)) is not None:
        if row.get("state") not in _UNSETTLED or time.monotonic() >= until:
            return str(row.get("state"))
        removal.pause()
    return ""


def _await_gone(removal: Removal, vm: JournalEntry) -> None:
    """Wait until the VM is gone, or destroyed as far as this caller may."""
    until = time.monotonic() + removal.deadlines.network_s
    while (row := look(removal, vm)) is not None:
        state = str(row.get("state"))
        if state in DESTROYED and not removal.may_expunge:
            break
        if time.monotonic() >= until:
            removal.stays(vm, f"it is still {state}; {removal.again} later")
            return
        removal.pause()
    removal.gone(vm, "" if removal.may_expunge else ", destroyed but not expunged")
