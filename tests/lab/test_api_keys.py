"""What a server takes for a public key: by its release, and by the first word alone."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.replay.serving import QUICK, Lab, Refused, served
from vrbench.lab.api.state.settings import ZoneSettings

RSA = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7"
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9o2w0m1l9Jm1bUqg8nQe0w7bq4yqgJ7m8r9m2oVq1P"
INVALID = (431, "Public key is invalid")


@contextmanager
def release(version: str) -> Iterator[Lab]:
    with served(ZoneSettings(timing=QUICK, api_step_s=0.01, server_version=version)) as lab:
        yield lab


@pytest.fixture(scope="module")
def newest() -> Iterator[Lab]:
    with release("4.20.2") as lab:
        yield lab


def refusal(lab: Lab, name: str, material: str) -> tuple[int, str]:
    """Return with which code and words a key is refused; nothing for one that is taken."""
    try:
        lab.user("registerSSHKeyPair", name=name, publickey=material)
    except Refused as refused:
        return refused.status, refused.text
    return 0, ""


@pytest.mark.parametrize(
    ("version", "kinds"),
    [
        ("4.9.3", {"ssh-rsa", "ssh-dss"}),
        ("4.11.2", {"ssh-rsa", "ssh-dss"}),
        ("4.15.1", {"ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp256", "ssh-ed25519"}),
        ("4.20.2", {"ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp256", "ssh-ed25519"}),
    ],
)
def test_a_release_knows_its_kinds_of_keys(version: str, kinds: set[str]) -> None:
    """Up to 4.13 RSA and DSS; since then ECDSA and Ed25519 as well, and never a security key or an X.509 one."""
    with release(version) as lab:
        for kind in ("ssh-rsa", "ssh-dss", "ecdsa-sha2-nistp256", "ssh-ed25519", "sk-ssh-ed25519@openssh.com", "x509"):
            wanted = (0, "") if kind in kinds else INVALID
            assert refusal(lab, kind, f"{kind} AAAA{len(kind)} who@where") == wanted, kind


@pytest.mark.parametrize(
    "material",
    [
        ED25519.replace(" ", "%20"),
        f'from="192.0.2.1" {ED25519}',
        f" {ED25519}",
        "ssh-ed25519 ",
        "ssh-ed25519",
        "-----BEGIN PUBLIC KEY----- AAAA",
        '---- BEGIN SSH2 PUBLIC KEY ----\nComment: "rsa"\nAAAA',
        "any text",
        base64.b64encode(b"any text").decode(),
    ],
)
def test_what_begins_otherwise_is_refused(newest: Lab, material: str) -> None:
    """Encoded twice, with options, behind a blank, of other programs."""
    assert refusal(newest, "odd", material) == INVALID


@pytest.mark.parametrize(
    "material",
    [f"{RSA}0 who@where", f"{RSA}1\n", f"{RSA}2 \r\n", "ssh-rsa no-base64!", base64.b64encode(RSA.encode()).decode()],
)
def test_what_begins_well_is_taken(newest: Lab, material: str) -> None:
    """With a comment, with a line's end, as base64 of it all; whether it is a key nobody asks."""
    assert refusal(newest, material[-9:-2], material) == (0, "")


def test_a_key_is_taken_once_in_an_account(newest: Lab) -> None:
    """Under whatever name and comment; the name is looked at before the key, and the key's form before both."""
    assert refusal(newest, "one", f"{ED25519} a") == (0, "")
    assert refusal(newest, "two", f"{ED25519} b") == (
        431,
        f"A key pair with key '{ED25519} b' already exists for this account.",
    )
    assert refusal(newest, "one", "any text") == (431, "A key pair with name 'one' already exists for this account.")


def test_a_key_can_be_too_long(newest: Lab) -> None:
    """5120 characters, and no more."""
    assert refusal(newest, "long", f"{RSA}long {'a' * (5120 - len(RSA) - 5)}") == (0, "")
    code, words = refusal(newest, "longer", f"{RSA} {'a' * (5120 - len(RSA))}")
    assert (code, words.endswith("Value greater than max allowed length 5120 for param: publickey")) == (431, True)


def test_two_blanks_are_an_error_of_the_server(newest: Lab) -> None:
    """It finds no key to take a fingerprint of; a user isn't told more."""
    code, words = refusal(newest, "blanks", RSA.replace(" ", "  "))
    assert (code, words.startswith("Internal error")) == (530, True)
