"""python -m vrbench is the vrbench command."""

from vrbench.cli.main import main

main()
