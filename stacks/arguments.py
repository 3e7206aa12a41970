"""What every stack takes besides its own arguments, as the CDK's Stack has it (it names no such type itself)."""

from collections.abc import Mapping
from typing import TypedDict

from aws_cdk import Environment, IStackSynthesizer


class StackArguments(TypedDict, total=False):
    """Handed on to the CDK as it is."""

    stack_name: str
    description: str
    env: Environment
    tags: Mapping[str, str]
    synthesizer: IStackSynthesizer
