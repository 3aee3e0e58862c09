"""Loops as people write them to see how long something is down; each logs a line when an attempt has ended."""

ICMPLIB = """
import sys, time
from icmplib import ping
while True:
    host = ping(sys.argv[1], count=1, interval=0.1, timeout=2)
    print(f"{time.time():.3f}", "ok" if host.is_alive else "failed", flush=True)
    time.sleep(0.1)
"""

SSH = """
while :; do
    if ssh -p "$2" -i "$3" -o UserKnownHostsFile="$4" -o StrictHostKeyChecking=no -o BatchMode=yes \
        -o ConnectTimeout=5 root@"$1" true 2>/dev/null; then said=ok; else said=failed; fi
    echo "$(date +%s.%N) $said"
    sleep 1
done
"""

SAMPLER = """
import socket, sys, time
while True:
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=16).close()
        said = "ok"
    except OSError:
        said = "failed"
    print(f"{time.time():.3f}", said, flush=True)
    time.sleep(1)
"""
