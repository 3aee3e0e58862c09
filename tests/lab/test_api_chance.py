"""What the lab draws at random as servers do, and what chance must not bring."""

from __future__ import annotations

from tests.lab.no_ground import NoGround
from vrbench.lab.api.state.settings import ZoneSettings
from vrbench.lab.api.state.zone import Zone


def test_a_new_router_never_has_the_public_mac_of_the_one_before() -> None:
    """Else whoever looks for the new router by its MAC would miss one in 256."""
    for _ in range(20):
        zone = Zone(NoGround(), ZoneSettings())
        macs = [zone.new_public_mac(zone.addresses[3]) for _ in range(256)]
        assert len(set(macs)) == 256
