"""What the command line asks of AWS: clients whose errors are one line, and what is deployed there."""

DEFAULT_STACK = "differential-privacy"
"""The prefix of the stacks' names, where the configuration says nothing else."""
