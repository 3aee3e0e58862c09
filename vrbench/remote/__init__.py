"""SSH to guests: ``connection`` (run, stream, exchange), ``login`` with ``keys`` and ``host_keys``, ``errors``."""
