"""The machine's own means: system calls, processes and namespaces."""
