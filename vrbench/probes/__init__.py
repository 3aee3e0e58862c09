"""The senders of probes: open-loop, on monotonic clocks, each in a process of its own."""
