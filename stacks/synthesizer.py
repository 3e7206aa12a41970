"""How a stack's template and files get to AWS: the CDK's default way, but for two things."""

from aws_cdk import DefaultStackSynthesizer, Stack
from aws_cdk import IBoundStackSynthesizer as Bound


class StackSynthesizer(DefaultStackSynthesizer):
    """For one stack. It answers for itself, and its template has no rule about the bootstrap's version.

    (The command line checks the version anyway; the rule only bars test servers.)
    """

    def __init__(self) -> None:
        super().__init__(generate_bootstrap_version_rule=False)

    def reusable_bind(self, stack: Stack) -> Bound:
        """Bind this object itself: the copy that the CDK makes cannot be asked from Python where a file goes."""
        self.bind(stack)
        return self
