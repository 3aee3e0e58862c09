"""The run's own keys: which are made for whom, and where they go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run.world import Rig
from vrbench.remote.keys import kind_of


@pytest.mark.parametrize(
    ("version", "wanted", "kinds"),
    [
        ("4.9.3.0", "auto", ["rsa", "ed25519", "ecdsa"]),
        ("4.20.2.0", "auto", ["ed25519", "rsa", "ecdsa"]),
        ("4.20.2.0", "rsa", ["rsa"]),
        ("4.9.3.0", "ed25519", ["ed25519"]),
    ],
)
def test_the_cloud_and_every_guest_get_a_key_that_they_take(
    tmp_path: Path, version: str, wanted: str, kinds: list[str]
) -> None:
    """The first one goes to the cloud, which may be old; the user data brings all of them to guests."""
    rig = Rig(tmp_path, f"cloud.ssh_key={wanted}")
    rig.cloud.version = version
    rig.run()
    plan = rig.cloud.asked
    assert plan is not None
    assert [kind_of(public) for public in plan.public_keys] == kinds
    assert plan.user_data.startswith("#cloud-config\nssh_authorized_keys:\n")
    assert all(f"- {public}\n" in plan.user_data for public in plan.public_keys)


def test_no_key_is_left(tmp_path: Path) -> None:
    """What they opened is gone; none is made for a cloud that preflight turns down."""
    rig = Rig(tmp_path)
    made: list[list[Path]] = []
    rig.when("preflight", lambda: made.append(sorted(rig.store.path.glob("key*"))))
    rig.when("build", lambda: made.append(sorted(rig.store.path.glob("key*"))))
    rig.run()
    assert [len(files) for files in made] == [0, 3]
    assert not list(rig.store.path.glob("key*"))
