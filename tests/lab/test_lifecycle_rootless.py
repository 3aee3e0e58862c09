"""The whole lab as an ordinary user: up, a guest deployed through the API and logged in to, down, nothing left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.lab.box import make_key

pytestmark = pytest.mark.lab

_ROOT = Path(__file__).parents[2]
_STRANGER = 54_321  # a user number that nobody has
_PYTHONS = (sys.executable, *(f"/usr/bin/python3.{minor}" for minor in (14, 13, 12, 11)))


def as_ordinary_user(*argv: str) -> list[str]:
    """Return the command as somebody without any privilege (it is enough not to be root already)."""
    if os.geteuid() != 0:
        return list(argv)
    return ["setpriv", f"--reuid={_STRANGER}", f"--regid={_STRANGER}", "--clear-groups", "--inh-caps=-all", *argv]


@pytest.fixture
def python() -> str:
    """Return an interpreter that an ordinary user may run (root's own may lie in root's home)."""
    for candidate in _PYTHONS:
        try_it = as_ordinary_user(
            "env", candidate, "-c", ""
        )  # by env: what setpriv starts itself, it may start as root
        if subprocess.run(try_it, stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return candidate
    pytest.skip("no Python 3.11 or later here that an ordinary user may run")


@pytest.fixture
def home() -> Iterator[Path]:
    """Yield the user's own directory with a copy of the package and the scene (pytest's own keeps other users out)."""
    with TemporaryDirectory() as name:
        place = Path(name)
        shutil.copytree(_ROOT / "vrbench", place / "vrbench", ignore=shutil.ignore_patterns("__pycache__"))
        (place / "scene.py").write_text(_SCENE)
        make_key(place)
        if os.geteuid() == 0:
            for path in (place, *place.rglob("*")):
                os.chown(path, _STRANGER, _STRANGER)
        yield place


# Standard library only: the interpreter at hand may have nothing else.
_SCENE = r"""
import base64, hashlib, hmac, json, sys, time, urllib.error, urllib.parse, urllib.request
from pathlib import Path
from vrbench.lab import lifecycle
from vrbench.lab.status import LabOptions

state = Path("state")
status = lifecycle.up(state, LabOptions(strategy=sys.argv[1], time_scale=0.01), lifeline=True)
root = status.callers["root"]


def call(command, **parameters):
    parameters |= {"command": command, "response": "json", "apikey": root.apikey}
    pairs = [f"{key}={urllib.parse.quote(str(value), safe='*')}" for key, value in sorted(parameters.items())]
    digest = hmac.new(root.secretkey.encode(), "&".join(pairs).lower().encode(), hashlib.sha1).digest()
    signature = urllib.parse.quote(base64.b64encode(digest).decode(), safe="")
    try:
        with urllib.request.urlopen(f"{status.endpoint}?{'&'.join(pairs)}&signature={signature}") as answer:
            (body,) = json.load(answer).values()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{command}: {error.read().decode()}")
    while "jobid" in body and "jobstatus" not in body:
        job = call("queryAsyncJobResult", jobid=body["jobid"])
        if job["jobstatus"]:
            return job["jobresult"]
        time.sleep(0.05)
    return body


call("registerSSHKeyPair", name="k", publickey=Path("key.pub").read_text().strip())
zone = call("listZones")["zone"][0]["id"]
offerings = call("listNetworkOfferings", guestiptype="Isolated", supportedservices="SourceNat", state="Enabled")
offering = next(o["id"] for o in offerings["networkoffering"] if "Nsx" not in str(o["service"]) and not o["forvpc"])
network = call("createNetwork", zoneid=zone, networkofferingid=offering, name="n", displaytext="n")["network"]["id"]
template = call("listTemplates", templatefilter="featured")["template"][0]["id"]
service = call("listServiceOfferings")["serviceoffering"][0]["id"]
vm = call("deployVirtualMachine", zoneid=zone, networkids=network, name="guest-a", templateid=template,
          serviceofferingid=service, keypair="k")["virtualmachine"]
address = call("associateIpAddress", networkid=network)["ipaddress"]
call("createFirewallRule", ipaddressid=address["id"], protocol="tcp", startport=22, endport=22, cidrlist="0.0.0.0/0")
call("createPortForwardingRule", ipaddressid=address["id"], protocol="tcp", publicport=22, privateport=22,
     virtualmachineid=vm["id"], openfirewall="false")
call("createEgressFirewallRule", networkid=network, protocol="all")
options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=known", "LogLevel=ERROR", "BatchMode=yes"]
ssh = ["ssh", "-F", "none", "-i", "key", *(part for option in options for part in ("-o", option))]
ping = "ping -c1 -W30 203.0.113.1 >/dev/null && echo pinged"
probe = f"hostname; {ping}; touch /usr/x 2>/dev/null || echo protected; python3 -V"
login = [*ssh, f"{status.ssh_user}@{address['ipaddress']}", probe]
code = lifecycle.exec_(state, "upstream", login)
print("outage", lifecycle.outage(state, 0.1, "egress", "guest-a").direction)
print(json.dumps({"rootless": status.rootless, "user": status.ssh_user, "code": code}), flush=True)
lifecycle.down(state)
print(sorted(path.name for path in state.iterdir()))
"""


@pytest.mark.parametrize("strategy", ["parallel", "redundant"])
def test_an_ordinary_user_runs_a_whole_lab(home: Path, python: str, strategy: str) -> None:
    """Log in to a guest from outside, ping from inside, an injected outage; then no process of the user's is left."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONPATH": str(home)}
    done = subprocess.run(
        as_ordinary_user(python, "scene.py", strategy),
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert lines[:3] == ["guest-a", "pinged", "protected"], done.stdout + done.stderr
    assert lines[3].startswith("Python 3")
    assert lines[4:] == [
        "outage egress",
        '{"rootless": true, "user": "guest", "code": 0}',
        "['lab.log', 'lock']",
    ]
    if os.geteuid() == 0:
        assert subprocess.run(["ps", "-u", str(_STRANGER)], capture_output=True, check=False).returncode == 1
