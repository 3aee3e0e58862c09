"""Virtual routers: what they look like, how they come and go, and what they are programmed with."""
