"""How the API is reached and by whose key: cs's conventions, files as people leave them, proxies, certificates."""
