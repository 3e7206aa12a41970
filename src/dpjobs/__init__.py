"""Differentially private statistics on Spark: the library that travels to the cluster."""

__version__ = "0.1.0"

FORMAT = 3
"""The version of the release's JSON."""
