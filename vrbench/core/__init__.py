"""The pure core: standard library, numpy and Structs of msgspec; no clock, file, socket or randomness of its own."""
