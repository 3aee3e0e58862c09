"""What readies a guest for probing: the user data that its first boot runs."""

from __future__ import annotations

from collections.abc import Sequence

# A banner probe leaves sshd before it logs in: with the defaults (MaxStartups 10:30:100, and PerSourcePenalties from
# OpenSSH 9.8 on) sshd would refuse such probes and so fake the outage that they measure (measurement method, trap 3).
GUEST_SSHD = "MaxStartups 1000:30:2000\nLoginGraceTime 20\nUseDNS no\n"
READY_SSHD = """\
PATH=$PATH:/usr/sbin
cd /etc/ssh || exit 0
echo 'PerSourcePenalties no' > vrbench.new
sshd -G -f $PWD/vrbench.new >/dev/null 2>&1 && cp vrbench.new sshd_config.d/01-vrbench.conf
found=$(sshd -T 2>/dev/null | grep -i -e '^maxstartups 1000:30:2000$' -e '^persourcepenalties [^n]')
if [ "$found" != 'maxstartups 1000:30:2000' ]; then
  cat sshd_config.d/0?-vrbench.conf > vrbench.new
  sed -E '/^[[:space:]]*(maxstartups|persourcepenalties)[[:space:]]/Id' sshd_config >> vrbench.new
  sshd -t -f $PWD/vrbench.new && cat vrbench.new > sshd_config
fi
rm -f vrbench.new
for u in ssh sshd; do systemctl reload $u 2>/dev/null || service $u reload 2>/dev/null && exit 0; done
pkill -HUP -o -x sshd || true
"""


def user_data(keys: Sequence[str] = ()) -> str:
    """Return the cloud-config that keeps the guest's sshd from defending itself against the probes.

    It opens the guest to ``keys`` alone: the cloud hands out one of them, and an sshd may take only another.

    PerSourcePenalties is known to OpenSSH 9.8 and later, and an older sshd does not start on a keyword that it doesn't
    know: the line goes into place only where ``sshd -G`` (9.3 and later) accepts it. A template whose own configuration
    reads no drop-in files, or sets one of the two itself (of these the last one wins), gets our lines at its head.
    """
    return (
        f"#cloud-config\n{_authorized(keys)}"
        "write_files:\n"
        "- path: /etc/ssh/sshd_config.d/00-vrbench.conf\n"
        "  permissions: '0644'\n"
        f"  content: |\n{_indented(GUEST_SSHD)}"
        "runcmd:\n"
        "- - sh\n"
        "  - -c\n"
        f"  - |\n{_indented(READY_SSHD)}"
    )


def _authorized(keys: Sequence[str]) -> str:
    return "ssh_authorized_keys:\n" + "".join(f"- {key}\n" for key in keys) if keys else ""


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())
