"""Run directories packed in archives."""

import tarfile
from pathlib import Path


def unpack(archive: Path, place: Path) -> Path:
    """Unpack the one run of an archive into an empty place; return its directory."""
    with tarfile.open(archive) as packed:
        # Debian 12's Python 3.11.2 has no filters yet; the archives are our own.
        packed.extraction_filter = getattr(tarfile, "data_filter", None)
        packed.extractall(place)
    (run,) = place.iterdir()
    return run
