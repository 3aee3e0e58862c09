"""The lab's CloudStack API: a management server for one zone, over any ground.

It answers 186 commands as a 4.20.2 server does, and as far as they differ as four older releases do. **It is complete.
It grows only for calls that the harness makes.**

A command is found by its noun. Each shelf has its commands in ``commands.py`` (and in files of their own where they are
many), what lists and jobs show in ``view.py``, and what lists choose in ``listing.py``. A shelf imports only shelves
above it in this table; a test checks that.

========== ============================================================================================
state      what exists: entities, the zone with its lock, built-in objects, settings, versions, errors
request    one call: its parameters, the ids in them, what its lists choose, how its answer is worded
faults     faults of the server itself, and CloudStack's own simulator commands
accounts   accounts, limits, tags, events, key pairs, user data
catalog    offerings, templates, hosts, storage: what the zone offers
routers    virtual routers: how they come and go (by ``lab/strategies``), what they are programmed with
networks   isolated networks, and tiers
vpcs       VPCs and their access lists
machines   virtual machines and volumes
addresses  public addresses
rules      firewall, port forwarding, load balancing, static NAT
server     HTTP, sign-in, the table of commands, dispatch, jobs
========== ============================================================================================

A request comes in at ``server/web.py``, may be spoiled by ``faults/api_faults.py``, and is signed in, checked and
handed to its handler by ``server/dispatch.py``. A handler is a function from a ``Call`` to the answer, or to a ``Task``
that ``server/jobs.py`` runs in the background. Handlers change entities under the zone's lock, and ask the ground for
packets without it.
"""
