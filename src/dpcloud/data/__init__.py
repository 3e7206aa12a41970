"""Tables to try the tool on: a synthetic census table of any size, and the real one from its public home."""
