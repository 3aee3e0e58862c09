"""The HTTP API of the lab: requests, callers, jobs, and the state of the zone."""
