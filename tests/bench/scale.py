"""How fast and how large the embedded lab is: VMs ready for SSH, memory, and the API under load.

    python -m tests.bench.scale [--vms 10 50] [--calls 200] [--rules 1000]

For each size a lab is started, a network with as many VMs and public addresses is built through its API, ten calls at
once, and every address is asked for its SSH banner; counted from before the lab is started. Then ``--calls`` list calls
a second are sent for ten seconds on schedule by one process, and their answer times taken. Then ``--rules`` firewall
rules are spread over the addresses, ten calls at once, the network is restarted with cleanup, and the new router must
have every rule in its packet filter and every SSH banner behind it.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.cli.zone import ROOT
from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.credentials.credentials import Credentials
from vrbench.lab import lifecycle
from vrbench.lab.status import LabOptions

FIGURES = {10: (8.0, 2e9), 50: (40.0, 2e9)}  # VMs: seconds, bytes
LISTS = ("listVirtualMachines", "listNetworks", "listPublicIpAddresses", "listRouters", "listPortForwardingRules")
API_MEDIAN_S = 0.010
OFFERING = "DefaultIsolatedNetworkOfferingWithSourceNatService"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vms", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--calls", type=int, default=200, help="list calls a second")
    parser.add_argument("--rules", type=int, default=0, help="firewall rules beside those for SSH")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        order = json.loads(asked.inside)
        at_once(await_banner, order["await"]) if "await" in order else build(order, asked.vms[0])
        return 0
    return max(measured(vms, asked.calls, asked.rules) for vms in asked.vms)


def measured(vms: int, calls: int, rules: int) -> int:
    """One size; 1 when a figure is missed."""
    with tempfile.TemporaryDirectory() as place:
        state, begun = Path(place) / "lab", time.monotonic()
        status = lifecycle.up(state, LabOptions(time_scale=0.02), lifeline=True)
        try:
            up_s, root = time.monotonic() - begun, status.callers["root"]
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{place}/key"], check=True)
            keys = {"endpoint": status.endpoint, "key": root.apikey, "secret": root.secretkey}
            inside(state, vms, {**keys, "public_key": Path(f"{place}/key.pub").read_text().strip()})
            ready_s, memory = time.monotonic() - begun, pss(status.pid)
            cloud = Cloud(Credentials(status.endpoint, root.apikey, root.secretkey))
            median_s, late = latency(cloud, calls)
            ruled = with_rules(cloud, state, rules) if rules else ""
        finally:
            lifecycle.down(state)
    most_s, most_bytes = FIGURES.get(vms, (float("inf"), float("inf")))
    print(
        f"{vms} VMs, {vms} addresses: lab up {up_s:.1f} s, all ready for SSH {ready_s:.1f} s (<= {most_s:g} s), "
        f"{memory / 1e6:.0f} MB (<= {most_bytes / 1e6:g} MB)"
    )
    print(
        f"  API at {calls} list calls/s: median {median_s * 1e3:.1f} ms (<= {API_MEDIAN_S * 1e3:g} ms), "
        f"{late:.1%} sent more than 100 ms late" + ruled
    )
    return int(ready_s > most_s or memory > most_bytes or median_s > API_MEDIAN_S)


def inside(state: Path, vms: int, order: dict[str, Any]) -> None:
    """Let this program carry out an order in the outside world."""
    me = [sys.executable, "-m", "tests.bench.scale", "--vms", str(vms), "--inside", json.dumps(order)]
    subprocess.run(lifecycle.enter(state, "upstream", me), cwd=ROOT, check=True)


def with_rules(cloud: Cloud, state: Path, rules: int) -> str:
    """Make the rules, restart with cleanup, and see that the new router has them; how long it took, in words."""
    addresses = [a for a in cloud.list("listPublicIpAddresses", "publicipaddress") if not a["issourcenat"]]
    (network,) = cloud.list("listNetworks", "network")

    def made(number: int) -> None:
        at, port = addresses[number % len(addresses)]["id"], str(10_000 + number)
        rule = {"ipaddressid": at, "protocol": "tcp", "startport": port, "endport": port}
        job(cloud, "createFirewallRule", **rule, cidrlist="198.51.100.1/32")

    begun = time.monotonic()
    at_once(made, range(rules))
    made_s, begun = time.monotonic() - begun, time.monotonic()
    job(cloud, "restartNetwork", id=network["id"], cleanup=True)
    restarted_s = time.monotonic() - begun
    (router,) = cloud.list("listRouters", "router")
    look = lifecycle.enter(state, router["name"], ["nft", "list", "ruleset"])
    programmed = subprocess.run(look, check=True, capture_output=True, text=True).stdout
    lost = [n for n in range(rules) if f" {10_000 + n} " not in programmed]
    if lost:
        raise SystemExit(
            f"{len(lost)} of {rules} rules are not in the new router, the first for port {10_000 + lost[0]}"
        )
    inside(state, 1, {"await": [a["ipaddress"] for a in addresses]})
    return f"\n  {rules} rules made in {made_s:.1f} s; restart with cleanup {restarted_s:.1f} s, all in the new router"


def build(order: dict[str, str], vms: int) -> None:
    """Build the network from the outside world and wait for every SSH banner."""
    cloud = Cloud(Credentials(order["endpoint"], order["key"], order["secret"]))
    zone = cloud.list("listZones", "zone")[0]["id"]
    offering = cloud.list("listNetworkOfferings", "networkoffering", name=OFFERING)[0]["id"]
    size = cloud.list("listServiceOfferings", "serviceoffering")[0]["id"]
    template = cloud.list("listTemplates", "template", templatefilter="featured")[0]["id"]
    cloud.call("registerSSHKeyPair", name="scale", publickey=order["public_key"])
    network = cloud.call("createNetwork", name="s", displaytext="s", networkofferingid=offering, zoneid=zone)
    network_id = network["network"]["id"]
    machine = {"zoneid": zone, "serviceofferingid": size, "templateid": template, "networkids": network_id}

    def deployed(number: int) -> str:
        made = job(cloud, "deployVirtualMachine", **machine, name=f"vm-{number}", keypair="scale")
        return str(made["virtualmachine"]["id"])

    def opened(vm: str) -> str:
        address = job(cloud, "associateIpAddress", networkid=network_id)["ipaddress"]
        rule = {"ipaddressid": address["id"], "protocol": "tcp"}
        job(cloud, "createFirewallRule", **rule, startport="22", endport="22", cidrlist="198.51.100.1/32")
        ports = {"publicport": "22", "privateport": "22", "virtualmachineid": vm, "openfirewall": "false"}
        job(cloud, "createPortForwardingRule", **rule, **ports)
        return str(address["ipaddress"])

    ids = [deployed(0), *at_once(deployed, range(1, vms))]
    at_once(await_banner, at_once(opened, ids))


def job(cloud: Cloud, command: str, **params: str | bool) -> dict[str, Any]:
    return dict(cloud.wait(cloud.submit(command, **params), 120, 0.05))


def at_once(work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    with ThreadPoolExecutor(10) as pool:
        return list(pool.map(work, items))


def await_banner(address: str) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            with socket.create_connection((address, 22), timeout=1) as line:
                if line.recv(4) == b"SSH-":
                    return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def pss(holder: int) -> int:
    """Bytes of memory of the lab's processes, shared pages counted by their share."""
    below = [holder]
    for pid in below:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            below += map(int, task.read_text(encoding="ascii").split())
    total = 0
    for pid in below:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        except OSError:  # it ended meanwhile
            continue
        total += sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    return total


def latency(cloud: Cloud, calls: int, seconds: float = 10.0) -> tuple[float, float]:
    """Median answer time, and the share of calls that left more than 100 ms after they were due."""
    begun = time.monotonic() + 0.5

    def one(number: int) -> tuple[float, bool]:
        due = begun + number / calls
        time.sleep(max(0.0, due - time.monotonic()))
        sent = time.monotonic()
        cloud.call(LISTS[number % len(LISTS)], listall=True, page=1, pagesize=20)
        return time.monotonic() - sent, sent - due > 0.1

    with ThreadPoolExecutor(20) as pool:
        taken = list(pool.map(one, range(int(calls * seconds))))
    return statistics.median(t for t, _ in taken), sum(late for _, late in taken) / len(taken)


if __name__ == "__main__":
    sys.exit(main())
