"""The commands that need a deployment: questions in AWS and what became of them, uploads, clusters."""
