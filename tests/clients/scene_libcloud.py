"""Apache Libcloud's CloudStack driver: build a network, log in to its VM, remove all.

Run inside a lab's outside world: ``python -m tests.clients.scene_libcloud KEY``; the endpoint and keys come from
CLOUDSTACK_ENDPOINT, CLOUDSTACK_KEY and CLOUDSTACK_SECRET.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from libcloud.compute.drivers.cloudstack import CloudStackNodeDriver

from tests.clients.login import log_in


def main() -> None:
    """Play one whole life of a network."""
    key, env = Path(sys.argv[1]), os.environ
    driver = CloudStackNodeDriver(
        env["CLOUDSTACK_KEY"], env["CLOUDSTACK_SECRET"], secure=False, url=env["CLOUDSTACK_ENDPOINT"]
    )
    location = driver.list_locations()[0]
    offering = next(
        o for o in driver.ex_list_network_offerings() if o.name == "DefaultIsolatedNetworkOfferingWithSourceNatService"
    )
    driver.import_key_pair_from_string("libcloud", key.with_suffix(".pub").read_text(encoding="ascii").strip())
    network = driver.ex_create_network("libcloud", "libcloud", offering, location)
    node = driver.create_node(
        "libcloud-1",
        driver.list_sizes()[0],
        driver.list_images(location)[0],
        location,
        networks=[network],
        ex_keyname="libcloud",
        ex_start_vm=None,
    )
    address = driver.ex_allocate_public_ip(network_id=network.id, location=location)
    driver.ex_create_firewall_rule(address, "0.0.0.0/0", "tcp", start_port=22, end_port=22)
    rule = driver.ex_create_port_forwarding_rule(node, address, 22, 22, "tcp", openfirewall=False)
    print(log_in(address.address, key))
    assert [r.id for r in driver.ex_list_port_forwarding_rules()] == [rule.id]
    assert driver.list_nodes()[0].state == "running"
    driver.destroy_node(node, ex_expunge=True)
    driver.ex_release_public_ip(address)
    driver.ex_delete_network(network)
    driver.ex_delete_keypair("libcloud")
    assert not driver.ex_list_networks()


if __name__ == "__main__":
    main()
