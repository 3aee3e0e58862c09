"""Real CloudStack clients, from their own packages, work on the lab unchanged and leave nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.zone import ROOT, Zone, running_zone
from vrbench.lab import lifecycle
from vrbench.lab.status import LabOptions

pytestmark = pytest.mark.lab
HERE = Path(__file__).parent


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[Zone]:
    with running_zone(tmp_path, LabOptions(time_scale=0.02)) as running:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(running.here / "key")], check=True)
        yield running


def run_client(zone: Zone, command: list[str]) -> str:
    """Run a client in the lab's outside world, as the zone's domain administrator; what it printed."""
    caller = zone.status.callers["domadmin"]
    place = zone.cloud.list("listZones", "zone")[0]
    (template,) = zone.cloud.list("listTemplates", "template", templatefilter="featured")
    scene = {
        "CLOUDSTACK_ENDPOINT": zone.status.endpoint,
        "CLOUDSTACK_KEY": caller.apikey,
        "CLOUDSTACK_SECRET": caller.secretkey,
        "SCENE_ZONE": place["name"],
        "SCENE_TEMPLATE": template["name"],
        "SCENE_SIZE": zone.cloud.list("listServiceOfferings", "serviceoffering")[0]["name"],
        "SCENE_KEY": str(zone.here / "key"),
        "HOME": str(zone.here),
        "PYTHONPATH": str(ROOT),
    }
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("CLOUDSTACK_", "ANSIBLE_"))}
    done = subprocess.run(
        lifecycle.enter(zone.state, "upstream", command),
        env={**ours, **scene},
        cwd=zone.here,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("scene", "said"), [("scene_cs", ["async-1"] * 2), ("scene_libcloud", ["libcloud-1"])])
def test_a_library_builds_logs_in_and_removes(zone: Zone, scene: str, said: list[str]) -> None:
    """From key pair to log-in and away again; nothing is left in the zone."""
    out = run_client(zone, [sys.executable, "-m", f"tests.clients.{scene}", str(zone.here / "key")])
    assert out.split() == said
    assert zone.left() == []


def test_ansible_restarts_a_network_with_clean_up(zone: Zone) -> None:
    """The collection's modules, in a playbook that passes on a real server; nothing is left in the zone."""
    playbook = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", str(HERE / "playbook.yml")]
    out = run_client(zone, [*playbook, "-e", f"ansible_python_interpreter={sys.executable}"])
    assert "failed=0" in out
    assert zone.left() == []
