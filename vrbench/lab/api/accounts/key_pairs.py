"""SSH key pairs: made here or registered, one name per account."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from vrbench.lab.api.accounts import events
from vrbench.lab.api.accounts.key_material import fingerprint_of, public_key_of
from vrbench.lab.api.request.call import Call
from vrbench.lab.api.request.responses import domain_fields, owner_name
from vrbench.lab.api.request.selection import select
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Account, Json, KeyPair
from vrbench.lab.api.state.zone import Zone, new_id

KEYGEN_TIMEOUT_S = 60


def create_key_pair(call: Call) -> Json:
    """Answer createSSHKeyPair: a 2048-bit RSA key; the private half is in this answer and nowhere else."""
    owner, name = call.owner(), call.required("name")
    _refuse_taken(call.zone, owner, name, f"A key pair with name '{name}' already exists.")
    private, public = _generate()
    pair = _pair(owner, name, public, fingerprint_of(public, call.caller.is_root))
    _store(call.zone, pair, f"A key pair with name '{name}' already exists.")
    return {"keypair": {"privatekey": private, **_view(call.zone, pair)}}


def register_key_pair(call: Call) -> Json:
    """Answer registerSSHKeyPair: the name is looked at first, then the key, then whether the account has it already."""
    owner, name, material = call.owner(), call.required("name"), call.required("publickey")
    kind = events.KINDS[call.shape.name]
    taken = f"A key pair with name '{name}' already exists for this account."
    _refuse_taken(call.zone, owner, name, taken)
    public = public_key_of(material, call.zone.version)
    if any(pair.account is owner and pair.public_key == public for pair in call.zone.keypairs):
        raise errors.invalid(f"A key pair with key '{material}' already exists for this account.")
    fingerprint = fingerprint_of(public, call.caller.is_root)
    events.EventLog(call.zone, call.caller).record(kind, "Started")
    pair = _store(call.zone, _pair(owner, name, public, fingerprint), taken)
    events.EventLog(call.zone, call.caller).record(kind, "Completed")
    return {"keypair": _view(call.zone, pair)}


def delete_key_pair(call: Call) -> Json:
    owner, name = call.owner(active=False), call.required("name")
    with call.zone.lock:
        pair = find(call.zone, owner, name)
        if pair is None:
            raise errors.invalid(
                f"A key pair with name '{name}' does not exist for account {owner.name} in specified domain id",
                (owner.domain.uuid, "domainId"),
            )
        call.zone.remove(pair)
    return {"success": True}


def list_key_pairs(call: Call) -> Json:
    mine = call.scope()
    rows = [_view(call.zone, pair) for pair in call.zone.keypairs if mine(pair.account)]
    return call.listing("sshkeypair", select(call, rows, fingerprint="fingerprint"))


def find(zone: Zone, owner: Account, name: str) -> KeyPair | None:
    return next((pair for pair in zone.keypairs if pair.account is owner and pair.name == name), None)


def _refuse_taken(zone: Zone, owner: Account, name: str, text: str) -> None:
    with zone.lock:
        if find(zone, owner, name) is not None:
            raise errors.invalid(text)


def _store(zone: Zone, pair: KeyPair, taken: str) -> KeyPair:
    with zone.lock:
        _refuse_taken(zone, pair.account, pair.name, taken)
        return zone.add(pair)


def _pair(owner: Account, name: str, public: str, fingerprint: str) -> KeyPair:
    return KeyPair(uuid=new_id(), account=owner, name=name, public_key=public, fingerprint=fingerprint)


def _generate() -> tuple[str, str]:
    """Make a new key: the private half as PEM, the public half as one line."""
    with tempfile.TemporaryDirectory(prefix="lab-key-") as directory:
        path = Path(directory, "key")
        command = ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-C", "", "-f", str(path)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=KEYGEN_TIMEOUT_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise errors.internal("Failed to create the key pair: ssh-keygen did not run") from error
        return path.read_text(), path.with_suffix(".pub").read_text().strip() + " \n"


def _view(zone: Zone, pair: KeyPair) -> Json:
    owner = pair.account
    # Older servers show a project's own account here, which nobody calls as.
    whose = owner_name(owner) if zone.version.since(4, 18) else {"account": owner.name}
    return {
        "id": pair.uuid,
        "name": pair.name,
        **whose,
        **domain_fields(owner),
        "fingerprint": pair.fingerprint,
        "hasannotations": False,
    }


COMMANDS = {
    "createSSHKeyPair": create_key_pair,
    "registerSSHKeyPair": register_key_pair,
    "deleteSSHKeyPair": delete_key_pair,
    "listSSHKeyPairs": list_key_pairs,
}
