"""The run's key pair: which kind a server is given, by its release or after its refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cloud.lab import QUICK, planned, running_lab, silent
from vrbench.cloud.build.key_pair import register_key
from vrbench.cloud.build.steps import BuildContext
from vrbench.cloud.check.key_kinds import check_key, takes_every_key
from vrbench.cloud.errors import CloudRefused
from vrbench.core.findings import Blame, Findings
from vrbench.core.plan.tables import SSH_KEYS
from vrbench.lab.api.state.settings import ZoneSettings
from vrbench.remote.keys import AUTO, KINDS, generate_keys, kind_of, kinds_for

OLD = ZoneSettings(timing=QUICK.timing, api_step_s=0.001, server_version="4.11.2")


@pytest.mark.parametrize(
    ("version", "all_kinds"),
    [("4.9.3.0", False), ("4.13.1.0", False), ("4.14.0.0", True), ("4.20.2.0", True), ("5.0", True), ("fork", True)],
)
def test_a_release_tells_which_keys_it_takes(version: str, all_kinds: bool) -> None:
    """Ed25519 and ECDSA came with 4.14; of what is no number the refusal will tell."""
    assert takes_every_key(version) is all_kinds


@pytest.mark.parametrize(
    ("wanted", "version", "good"),
    [("auto", "4.9.3.0", True), ("rsa", "4.9.3.0", True), ("ed25519", "4.13.1.0", False), ("ecdsa", "4.14.0.0", True)],
)
def test_a_kind_that_the_server_will_refuse_is_foreseen(wanted: str, version: str, good: bool) -> None:
    """Before anything is built; the profile has to change."""
    found = Findings()
    check_key(wanted, version, found)
    assert [(bad.code, bad.cure) for bad in found.problems] == (
        [] if good else [(Blame.OURS, "set cloud.ssh_key to auto or rsa")]
    )


def test_a_profile_can_ask_for_a_kind() -> None:
    """Then there is no other; else all are made, first the one that the server is sure to take."""
    assert (AUTO, *KINDS) == SSH_KEYS
    assert kinds_for("ecdsa", server_takes_all=False) == ("ecdsa",)
    assert kinds_for(AUTO, server_takes_all=True) == ("ed25519", "rsa", "ecdsa")
    assert kinds_for(AUTO, server_takes_all=False) == ("rsa", "ed25519", "ecdsa")


def test_what_a_server_refuses_is_not_its_last_word(tmp_path: Path) -> None:
    """An old server behind a new number: the next kind is registered, and one line says so."""
    public = generate_keys(tmp_path / "key", ("ed25519", "rsa"))
    said: list[str] = []
    with running_lab(OLD) as lab:
        plan = planned(public_keys=public)
        journal = lab.journal(tmp_path / "journal")
        made = register_key(BuildContext(lab.cloud(), plan, lab.resolve(plan), journal, said.append))
        (row,) = lab.rows("listSSHKeyPairs", "sshkeypair")
        assert [entry.key for entry in journal.pending()] == [row["name"]]
        assert made == row["name"] == f"{plan.prefix}-key-rsa"
    assert said == ["this cloud takes no ed25519 key (Public key is invalid): another kind is tried"]


def test_other_refusals_stop_the_build(tmp_path: Path) -> None:
    """A name that is taken is no question of kinds; nor is there one after the last kind."""
    public = generate_keys(tmp_path / "key", ("rsa", "ed25519"))
    with running_lab(OLD) as lab:
        plan = planned(public_keys=public)
        register_key(BuildContext(lab.cloud(), plan, lab.resolve(plan), lab.journal(tmp_path / "journal"), silent))
        with pytest.raises(CloudRefused, match=r"A key pair with name .* already exists"):
            register_key(BuildContext(lab.cloud(), plan, lab.resolve(plan), lab.journal(tmp_path / "again"), silent))
        only = planned(public_keys=public[1:], prefix="vrb-2")
        with pytest.raises(CloudRefused, match="Public key is invalid"):
            register_key(BuildContext(lab.cloud(), only, lab.resolve(only), lab.journal(tmp_path / "other"), silent))


def test_each_kind_is_named_by_its_line(tmp_path: Path) -> None:
    """As it is named in a profile."""
    lines = generate_keys(tmp_path / "key", tuple(KINDS))
    assert [kind_of(line) for line in lines] == list(KINDS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "key-ecdsa", "key-rsa"]
