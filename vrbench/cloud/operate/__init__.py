"""What is done to routers, and how the cloud shows them meanwhile."""
