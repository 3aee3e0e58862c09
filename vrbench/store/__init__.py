"""Runs on disk: ``directory`` (paths and the lock), ``codec`` (values and their JSON), ``loading`` (read, analyse)."""
