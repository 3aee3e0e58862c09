"""A run on the embedded lab: the lab around it, and known outages as its operation.

The run itself is the production one and knows nothing of this: it finds an endpoint and keys, as anywhere.
"""
