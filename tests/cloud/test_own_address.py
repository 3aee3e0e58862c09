"""Whom the firewall lets in."""

from __future__ import annotations

import pytest

from vrbench.cloud.errors import CloudError
from vrbench.cloud.own_address import allowed_source, check_source


def test_a_private_source_of_a_public_address_is_refused_with_the_setting() -> None:
    """Behind address translation the cloud sees another address than ours: the rule would let nobody in."""
    with pytest.raises(CloudError, match=r"environment\.source_cidr"):
        check_source("192.168.1.7", "8.8.8.8")


@pytest.mark.parametrize(("source", "towards"), [("192.168.1.7", "10.0.0.9"), ("1.1.1.1", "8.8.8.8")])
def test_a_source_that_the_cloud_can_see_is_fine(source: str, towards: str) -> None:
    """A private cloud from a private network, a public one from a public address."""
    check_source(source, towards)


def test_the_source_is_this_machine_or_what_was_configured() -> None:
    """The routing table tells which of this machine's addresses the cloud will see."""
    assert allowed_source("auto", "127.0.0.1") == "127.0.0.1/32"
    assert allowed_source("192.0.2.0/24", "127.0.0.1") == "192.0.2.0/24"


def test_without_a_route_the_setting_is_named() -> None:
    """A broadcast is no address that a plain socket may be led to."""
    with pytest.raises(CloudError, match=r"no route to 255\.255\.255\.255 .*set environment\.source_cidr"):
        allowed_source("auto", "255.255.255.255")
