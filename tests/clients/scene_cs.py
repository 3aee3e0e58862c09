"""The ``cs`` library, asynchronous: build a network, log in to its VM, restart the router, log in again, remove all.

Run inside a lab's outside world: ``python -m tests.clients.scene_cs KEY`` (a private key file); the endpoint and keys
come from CLOUDSTACK_ENDPOINT, CLOUDSTACK_KEY and CLOUDSTACK_SECRET.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import cs
import cs.client

from tests.clients.login import log_in


async def walk(cloud: Any, key: Path) -> None:
    """One whole life of a network."""
    zone = (await cloud.listZones())["zone"][0]["id"]
    offering = await cloud.listNetworkOfferings(name="DefaultIsolatedNetworkOfferingWithSourceNatService")
    size = (await cloud.listServiceOfferings())["serviceoffering"][0]["id"]
    template = (await cloud.listTemplates(templatefilter="featured"))["template"][0]["id"]
    public_key = key.with_suffix(".pub").read_text(encoding="ascii").strip()
    await cloud.registerSSHKeyPair(name="async", publickey=public_key)
    network = await cloud.createNetwork(
        name="async", displaytext="async", networkofferingid=offering["networkoffering"][0]["id"], zoneid=zone
    )
    network_id = network["network"]["id"]
    deploy = {"zoneid": zone, "templateid": template, "serviceofferingid": size, "networkids": network_id}
    machines = await asyncio.gather(
        *(cloud.deployVirtualMachine(**deploy, name=f"async-{n}", keypair="async", fetch_result=True) for n in (1, 2))
    )
    address = (await cloud.associateIpAddress(networkid=network_id, fetch_result=True))["ipaddress"]
    rule = {"ipaddressid": address["id"], "protocol": "tcp", "fetch_result": True}
    await cloud.createFirewallRule(**rule, startport=22, endport=22, cidrlist=["0.0.0.0/0"])
    vm = machines[0]["virtualmachine"]
    await cloud.createPortForwardingRule(
        **rule, publicport=22, privateport=22, virtualmachineid=vm["id"], openfirewall=False
    )
    print(log_in(address["ipaddress"], key))
    await cloud.restartNetwork(id=network_id, cleanup=True, fetch_result=True)
    print(log_in(address["ipaddress"], key))
    ids = [m["virtualmachine"]["id"] for m in machines]
    await asyncio.gather(*(cloud.destroyVirtualMachine(id=i, expunge=True, fetch_result=True) for i in ids))
    await cloud.deleteNetwork(id=network_id, fetch_result=True)
    await cloud.deleteSSHKeyPair(name="async")
    assert not await cloud.listNetworks(fetch_list=True)


async def main() -> None:
    """Read what every user of the library has, and walk."""
    config = cs.client.read_config()
    config.pop("theme", None)
    await walk(cs.AIOCloudStack(**{**config, "poll_interval": 0.1, "job_timeout": 60}), Path(sys.argv[1]))


if __name__ == "__main__":
    asyncio.run(main())
