"""What the lab's API asks of the ground: the interface between the zone's state and the packets.

``port`` is that interface, ``specs`` are the values that pass through it, and ``no_ground`` is the ground that does
nothing. The real ground is ``lab/packets``.
"""
