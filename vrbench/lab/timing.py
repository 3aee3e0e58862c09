"""How long the lab's machines take to boot, program and stop, before the time scale is applied.

These are what an operator's hypervisor, image and disks decide; the outage itself is never configured, it follows from
the packets. The defaults describe no product: presets with sources live in profiles.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, all at time scale 1."""

    router_place_s: float = 2.0  # find a host, clone the disk, plug the interfaces
    router_boot_s: float = 25.0  # power on to the control channel answering
    router_reboot_s: float = 20.0  # the second boot of the system VM up to 4.10 (serial only)
    router_program_s: float = 3.0  # fixed cost of one programming pass
    router_rule_s: float = 0.5  # each rule, where rules go one by one (serial)
    router_aggregate_s: float = 0.02  # each rule, where they go as one script (parallel)
    router_stop_s: float = 5.0  # graceful shutdown (serial)
    router_force_stop_s: float = 1.0  # forced power-off (parallel)
    router_destroy_s: float = 1.0
    router_handover_s: float = 10.0  # between a new redundant router and the end of the old primary
    router_patch_s: float = 5.0  # copying new software into a running router (live patch)
    vm_boot_s: float = 2.0

    def scaled(self, scale: float) -> Timing:
        """Return the same with every time multiplied by ``scale`` (> 0)."""
        return replace(self, **{f.name: getattr(self, f.name) * scale for f in fields(self)})
