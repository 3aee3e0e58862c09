"""The operations that can be measured, in words.

How the cloud is asked for each stands in ``cloud/operate/operations.py``.
"""

from __future__ import annotations

from enum import Enum, auto

from msgspec import Struct

from vrbench.core.plan.networks import NETWORKS, REDUNDANT


class Renews(Enum):
    """What of its routers an operation renews, so that one which did nothing can be told by the routers alone."""

    NOTHING = auto()
    ROUTERS = auto()  # every router is another one afterwards
    SOFTWARE = auto()  # the routers stay, their software and scripts are the server's afterwards


class Need(Struct, frozen=True):
    """A ``command`` that an operation sends, with the parameters that not every release has; ``since`` which one."""

    command: str
    params: tuple[str, ...] = ()
    since: str = ""


class OperationWords(Struct, frozen=True):
    """What an operation ``does``, for whoever writes a profile; what was being done, for whoever reads the figures.

    ``needs``: the calls that the account must be allowed, beside those that every run makes. ``networks``: the kinds
    that it can be done to.
    """

    does: str
    doing: str
    renews: Renews = Renews.NOTHING
    needs: tuple[Need, ...] = ()
    networks: tuple[str, ...] = tuple(NETWORKS)


_LOOK = Need("listRouters")

OPERATIONS = {  # by name
    "restart-network-cleanup": OperationWords(
        "restart the network, replacing its router",
        "Restarting the router with cleanup",
        Renews.ROUTERS,
        (Need("restartNetwork"),),
    ),
    "restart-network": OperationWords(
        "apply the rules again, keeping the router",
        "Restarting the network without cleanup",
        needs=(Need("restartNetwork"),),
    ),
    "live-patch": OperationWords(
        "renew the running router's software in place; needs CloudStack 4.17 or later",
        "Patching the running router",
        Renews.SOFTWARE,
        (Need("restartNetwork", ("livepatch",), "4.17"),),
    ),
    "reboot-router": OperationWords(
        "reboot the network's (active) router; needs an administrator",
        "Rebooting the router",
        needs=(_LOOK, Need("rebootRouter")),
    ),
    "stop-start-router": OperationWords(
        "stop the network's (active) router, then start it again; needs an administrator",
        "Stopping the router and starting it again",
        needs=(_LOOK, Need("stopRouter"), Need("startRouter")),
    ),
    "destroy-router": OperationWords(
        "destroy the network's (active) router, then restart the network for a new one; needs an administrator",
        "Destroying the router and restarting the network",
        needs=(_LOOK, Need("destroyRouter"), Need("restartNetwork")),
    ),
    "failover": OperationWords(
        "stop the active router of a pair; it is started again after each trial; needs an administrator",
        "Stopping the active router of the pair",
        needs=(_LOOK, Need("stopRouter"), Need("startRouter")),
        networks=(REDUNDANT,),
    ),
}
DEFAULT = next(iter(OPERATIONS))
