"""Whom the firewall lets in."""

from __future__ import annotations

import pytest

from vrbench.cloud.errors import CloudError
from vrbench.cloud.source import check_source


def test_a_private_source_of_a_public_address_is_refused_with_the_setting() -> None:
    """Behind address translation the cloud sees another address than ours: the rule would let nobody in."""
    with pytest.raises(CloudError, match=r"environment\.source_cidr"):
        check_source("192.168.1.7", "8.8.8.8")


@pytest.mark.parametrize(("source", "towards"), [("192.168.1.7", "10.0.0.9"), ("1.1.1.1", "8.8.8.8")])
def test_a_source_that_the_cloud_can_see_is_fine(source: str, towards: str) -> None:
    """A private cloud from a private network, a public one from a public address."""
    check_source(source, towards)
