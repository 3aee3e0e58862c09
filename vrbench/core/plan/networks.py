"""The kinds of network that can be built and measured, in words."""

from __future__ import annotations

ISOLATED, REDUNDANT = "isolated", "redundant"
NETWORKS = {
    ISOLATED: "one router",
    REDUNDANT: "a pair of routers; where no offering has it, an administrator's run makes one and removes it again",
}
DEFAULT_NETWORK = ISOLATED
