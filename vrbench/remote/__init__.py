"""SSH to guests: ``connection`` (run, stream, exchange), ``identity`` (who logs in, host keys seen), ``errors``."""
