"""The network that is measured, made in the one order that is safe."""
