"""What a test server with AWS's protocols (moto) lacks of AWS, by name: checks that need it are skipped."""

LACKS = {
    "change sets": "its change sets register no exports, so the stacks were deployed with --method=direct",
    "runs": "it runs no jobs and no steps",
    "machines": "its clusters have no machines",
    "idle clusters": "its clusters do not end themselves",
    "logs": "its jobs and clusters write no logs",
    "metrics": "its jobs put no metrics, whatever they may",
    "bucket policies": "its CloudFormation sets no bucket policies",
    "bucket settings": "its CloudFormation sets neither versions nor public access nor lifecycle of a bucket",
    "table settings": "its CloudFormation sets no recovery of a table",
    "emr groups": "its EMR adds no rules to security groups, whatever they lack",
    "functions": "it has no Docker for the CDK's functions: the data were retained, and this script deleted them",
}
"""Keyed by what a check names in `needs`."""
CAN_BE_SERVED = "runs"
"""What a test can add: tests/deploy/runner.py runs what is started."""
