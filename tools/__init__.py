"""What make targets run besides."""
