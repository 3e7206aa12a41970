"""What repeats in the stacks, or hides the detail of CloudFormation's own resources."""
