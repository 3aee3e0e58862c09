"""What the lab's API asks of the ground: the interface between the zone's state and the packets.

``port`` is that interface, and ``specs`` are the values that pass through it. The real ground is ``lab/packets``.
"""
