"""A CloudStack zone in a box: a signed HTTP API over network namespaces that forward real packets."""
