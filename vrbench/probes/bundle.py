"""The guest agent as one self-contained file: a zip that any Python from 3.6 on runs by itself."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

MODULES = ("engine", "pacing", "rehearsal", "echo", "dns", "neighbours", "arp_responders", "silence", "agent")
_MAIN = "import sys\n\nfrom vrbench.probes.agent import main\n\nsys.exit(main(sys.argv[1:]))\n"


def agent_bundle() -> bytes:
    """Build the bytes of ``agent.pyz``; the same sources give the same bytes."""
    sources = {f"vrbench/probes/{name}.py": (Path(__file__).parent / f"{name}.py").read_text() for name in MODULES}
    sources |= {"__main__.py": _MAIN, "vrbench/__init__.py": "", "vrbench/probes/__init__.py": ""}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:  # stored, not deflated: a guest's Python may lack zlib
        for name, source in sources.items():
            archive.writestr(zipfile.ZipInfo(name), source)
    return packed.getvalue()
