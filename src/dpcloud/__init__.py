"""The command line on a laptop."""
