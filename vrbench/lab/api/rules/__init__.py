"""Rules on public addresses: firewall, port forwarding, load balancing, static NAT."""
