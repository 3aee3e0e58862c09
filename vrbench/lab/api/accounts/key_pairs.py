"""SSH key pairs: made here or registered, one name per account."""

from __future__ import annotations

import base64
import binascii
import hashlib
import subprocess
import tempfile
from pathlib import Path

from vrbench.lab.api.accounts import events
from vrbench.lab.api.request.call import Call
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
    pair = _store(call.zone, owner, name, public, f"A key pair with name '{name}' already exists.")
    return {"keypair": {"privatekey": private, **_view(pair)}}


def register_key_pair(call: Call) -> Json:
    """Answer registerSSHKeyPair: takes any text for a key, as the server does."""
    owner, name = call.owner(), call.required("name")
    kind = events.KINDS[call.shape.name]
    taken = f"A key pair with name '{name}' already exists for this account."
    _refuse_taken(call.zone, owner, name, taken)
    events.EventLog(call.zone, call.caller).record(kind, "Started")
    pair = _store(call.zone, owner, name, call.required("publickey").strip(), taken)
    events.EventLog(call.zone, call.caller).record(kind, "Completed")
    return {"keypair": _view(pair)}


def delete_key_pair(call: Call) -> Json:
    owner, name = call.owner(), call.required("name")
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
    rows = [_view(pair) for pair in call.zone.keypairs if mine(pair.account)]
    return call.listing("sshkeypair", select(call, rows, fingerprint="fingerprint"))


def find(zone: Zone, owner: Account, name: str) -> KeyPair | None:
    return next((pair for pair in zone.keypairs if pair.account is owner and pair.name == name), None)


def _refuse_taken(zone: Zone, owner: Account, name: str, text: str) -> None:
    with zone.lock:
        if find(zone, owner, name) is not None:
            raise errors.invalid(text)


def _store(zone: Zone, owner: Account, name: str, public: str, taken: str) -> KeyPair:
    pair = KeyPair(uuid=new_id(), account=owner, name=name, public_key=public, fingerprint=_fingerprint(public))
    with zone.lock:
        _refuse_taken(zone, owner, name, taken)
        return zone.add(pair)


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


def _fingerprint(public: str) -> str:
    """Return the MD5 in colons of the key's bytes, or of the text where that is no key."""
    words = public.split()
    try:
        raw = base64.b64decode(words[1], validate=True) if len(words) > 1 else public.encode()
    except binascii.Error:
        raw = public.encode()
    return hashlib.md5(raw, usedforsecurity=False).digest().hex(":")


def _view(pair: KeyPair) -> Json:
    owner = pair.account
    return {
        "id": pair.uuid,
        "name": pair.name,
        "account": owner.name,
        "domainid": owner.domain.uuid,
        "domain": owner.domain.name,
        "fingerprint": pair.fingerprint,
        "hasannotations": False,
    }


COMMANDS = {
    "createSSHKeyPair": create_key_pair,
    "registerSSHKeyPair": register_key_pair,
    "deleteSSHKeyPair": delete_key_pair,
    "listSSHKeyPairs": list_key_pairs,
}
