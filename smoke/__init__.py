"""`make smoke`: what only a real AWS account can show, deployed, tried and taken away again (docs/operations.md)."""
