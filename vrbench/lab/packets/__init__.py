"""The ground that moves packets: bridges, routers and guests in network namespaces."""
