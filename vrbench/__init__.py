"""vrbench: how long is a tenant's network down when its virtual router is restarted?"""

__version__ = "0.1.0"
