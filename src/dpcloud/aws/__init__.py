"""What the command line asks of AWS: clients whose errors are one line, and what is deployed there."""
