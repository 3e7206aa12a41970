"""IAM's policy language: whether a statement speaks of an action, on a resource, in a context."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from infra.intrinsics import CannotTell

Statement = dict[str, Any]
NEGATED = {
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
}
LITERAL = {"*": "\ue000", "?": "\ue001", "$": "\ue002"}  # characters of a value that are no wildcards


def texts(value: Any) -> list[str]:
    """One value or several, as IAM compares them."""
    several = value if isinstance(value, list | tuple | set) else [value]
    return [str(each).lower() if isinstance(each, bool) else str(each) for each in several]


def statements_of(document: Any, attached: bool = False) -> list[Statement]:
    """A document's statements; those of a resource's own policy have a Principal, and may leave Resource out."""
    if document.get("Version") != "2012-10-17":
        raise CannotTell(f"a policy of version {document.get('Version')}")
    statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    read = []
    for statement in statements:
        if attached and not {"Resource", "NotResource"} & set(statement):
            statement = statement | {"Resource": "*"}
        needed = {"Effect", "Action", "Resource"} | ({"Principal"} if attached else set())
        has = sorted(key.removeprefix("Not") for key in statement if key not in {"Sid", "Condition"})
        if has != sorted(needed) or statement["Effect"] not in {"Allow", "Deny"}:
            raise CannotTell(f"the statement {statement}")
        read.append(statement)
    return read


def applies(statement: Statement, action: str, resource: str, context: dict[str, list[str]]) -> bool:
    """Whether the statement speaks of this action, on this resource, in this context."""

    def among(element: str, matches: Callable[[str], bool]) -> bool:
        return any(map(matches, texts(statement.get(element, statement.get("Not" + element))))) == (
            element in statement
        )

    return (
        among("Action", lambda pattern: _like(pattern.lower(), action.lower()))
        and among("Resource", lambda pattern: _covers(_filled(pattern, context), resource))
        and all(
            _holds(operator, key, texts(wanted), context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _holds(operator: str, key: str, wanted: list[str], context: dict[str, list[str]]) -> bool:
    """One line of a Condition. Without the key a plain operator is false, and a negated one true, as in AWS."""
    quantifier, _, name = operator.rpartition(":")
    base = name.removesuffix("IfExists")
    values = context.get(key.lower(), [])
    if operator == "Null":
        return any((each.lower() == "true") == (not values) for each in wanted)
    test = TESTS.get(NEGATED.get(base, base))
    if test is None or quantifier not in {"", "ForAllValues", "ForAnyValue"}:
        raise CannotTell(f"the condition operator {operator}")

    def one(value: str) -> bool:
        return any(test(_filled(each, context), value) for each in wanted) != (base in NEGATED)

    if quantifier:
        return any(map(one, values)) if quantifier == "ForAnyValue" else all(map(one, values))
    if len(values) > 1:
        raise CannotTell(f"{operator} on several values of {key}: it takes ForAllValues or ForAnyValue")
    return one(values[0]) if values else name != base or base in NEGATED


def _filled(pattern: str, context: dict[str, list[str]]) -> str:
    """The pattern with its policy variables replaced, `${key}`, `${key, 'default'}` and `${*}`."""

    def put(match: re.Match[str]) -> str:
        key, _, default = (part.strip() for part in match[1].partition(","))
        if key in LITERAL:
            return LITERAL[key]
        values = context.get(key.lower(), [default.strip("'")] if default else [])
        if len(values) != 1:
            raise CannotTell(f"{match[0]} in {pattern}: give the context one {key}")
        return "".join(LITERAL.get(each, each) for each in values[0])

    return re.sub(r"\$\{([^}]+)\}", put, pattern)


def _plain(pattern: str) -> str:
    return "".join({code: each for each, code in LITERAL.items()}.get(each, each) for each in pattern)


def _regex(pattern: str, any_character: str = ".") -> str:
    wildcards = {"*": any_character + "*", "?": any_character}
    return "".join(wildcards.get(each) or re.escape(_plain(each)) for each in pattern)


def _like(pattern: str, value: str) -> bool:
    return re.fullmatch(_regex(pattern), value, re.DOTALL) is not None


def _covers(pattern: str, resource: str) -> bool:
    """Resource's wildcards stay between two colons of an ARN, but for a last * ; missing parts are *."""
    if pattern == "*":
        return True
    parts = pattern.split(":", 5)
    parts += ["*"] * (6 - len(parts))
    bounded = [_regex(part[:-1], "[^:]") + ".*" if part[-1:] == "*" else _regex(part, "[^:]") for part in parts[:5]]
    return re.fullmatch(":".join([*bounded, _regex(parts[5])]), resource, re.DOTALL) is not None


def _arn_like(pattern: str, value: str) -> bool:
    """The ARN conditions compare each of an ARN's six parts by itself."""
    parts, values = pattern.split(":", 5), value.split(":", 5)
    if len(parts) != 6:
        raise CannotTell(f"what a condition's ARN means that has not six parts: {pattern}")
    return len(values) == 6 and all(map(_like, parts, values))


TESTS: dict[str, Callable[[str, str], bool]] = {
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": lambda wanted, value: wanted.lower() == value.lower(),
    "NumericEquals": lambda wanted, value: Decimal(value) == Decimal(wanted),
    "NumericGreaterThan": lambda wanted, value: Decimal(value) > Decimal(wanted),
    "NumericGreaterThanEquals": lambda wanted, value: Decimal(value) >= Decimal(wanted),
    "NumericLessThan": lambda wanted, value: Decimal(value) < Decimal(wanted),
    "NumericLessThanEquals": lambda wanted, value: Decimal(value) <= Decimal(wanted),
    "StringEquals": lambda wanted, value: _plain(wanted) == value,
    "StringEqualsIgnoreCase": lambda wanted, value: _plain(wanted).casefold() == value.casefold(),
    "StringLike": _like,
}
