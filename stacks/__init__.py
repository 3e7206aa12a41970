"""The stacks that `cdk deploy` makes; app.py puts them together."""
