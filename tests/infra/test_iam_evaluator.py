"""The evaluator's own tests: for each of IAM's rules that it knows, a case that fails without the rule."""

import copy
from typing import Any

import pytest

from infra.iam import NOTHING, Account
from infra.intrinsics import CannotTell, Templates

AWS = "arn:aws"
BUCKET = f"{AWS}:s3:::a-bucket"
DATA = f"{BUCKET}/data/x.csv"
ROLE = f"{AWS}:iam::111122223333:role/job"
ROOT = f"{AWS}:iam::111122223333:root"
READ = "s3:GetObject"


def statement(effect: str = "Allow", **elements: Any) -> dict[str, Any]:
    """A statement on everything but for the given elements."""
    named = {each.removeprefix("Not") for each in elements}
    given = {"Action": "*", "Resource": "*"}
    return {"Effect": effect} | {key: each for key, each in given.items() if key not in named} | elements


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def trust(**elements: Any) -> dict[str, Any]:
    service = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "glue.amazonaws.com"}}
    return document(service | elements)


def role(*statements: dict[str, Any], **properties: Any) -> dict[str, Any]:
    policies = [{"PolicyName": "Inline", "PolicyDocument": document(*statements)}]
    own = {"RoleName": "job", "AssumeRolePolicyDocument": trust(), "Policies": policies}
    return {"Type": "AWS::IAM::Role", "Properties": own | properties}


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def bucket_policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return resource("S3::BucketPolicy", Bucket="a-bucket", PolicyDocument=document(*statements))


def key(*statements: dict[str, Any]) -> dict[str, Any]:
    return resource("KMS::Key", KeyPolicy=document(*statements))


def account(managed: dict[str, Any] | None = None, **resources: Any) -> Account:
    return Account.from_templates({"stack": {"Resources": resources}}, managed=managed)


# -- statements: a role with these may read DATA, or may not

STATEMENTS = {
    "nothing is allowed by silence": ([], False),
    "an allow": ([statement()], True),
    "deny beats allow": ([statement(), statement("Deny")], False),
    "deny beats allow in any order": ([statement("Deny"), statement()], False),
    "a deny of something else": ([statement(), statement("Deny", Action="s3:PutObject")], True),
    "several actions": ([statement(Action=["s3:PutObject", READ])], True),
    "another action": ([statement(Action="s3:GetObjectAcl")], False),
    "an action's start is not the action": ([statement(Action="s3:Get")], False),
    "an action's case does not count": ([statement(Action="S3:getobject")], True),
    "* in an action": ([statement(Action="s3:G*Object")], True),
    "* in an action stands for nothing too": ([statement(Action="s3:GetObject*")], True),
    "? in an action is one character": ([statement(Action="s3:GetObj?ct")], True),
    "? in an action is not two": ([statement(Action="s3:GetO?ct")], False),
    "other characters are themselves": ([statement(Action="s3.GetObject")], False),
    "NotAction": ([statement(NotAction=["s3:PutObject", "iam:*"])], True),
    "NotAction names it": ([statement(NotAction=["s3:PutObject", "s3:Get*"])], False),
    "the resource": ([statement(Resource=DATA)], True),
    "a resource's case counts": ([statement(Resource=DATA.upper().replace("ARN:AWS:S3", "arn:aws:s3"))], False),
    "several resources": ([statement(Resource=[BUCKET, f"{BUCKET}/*"])], True),
    "the bucket is not its objects": ([statement(Resource=BUCKET)], False),
    "* in the middle": ([statement(Resource=f"{AWS}:s3:::a-*/data/*.csv")], True),
    "* in the middle, another end": ([statement(Resource=f"{AWS}:s3:::a-*/data/*.parquet")], False),
    "* crosses slashes": ([statement(Resource=f"{AWS}:s3:::a-*csv")], True),
    "? in a resource": ([statement(Resource=f"{BUCKET}/data/?.csv")], True),
    "? in a resource is not nothing": ([statement(Resource=f"{BUCKET}/data/x?.csv")], False),
    "a prefix of the name is another bucket": ([statement(Resource=f"{AWS}:s3:::a-buck/*")], False),
    "* inside a part stays between its colons": ([statement(Resource=f"{AWS}:s*t/data/x.csv:::*")], False),
    "? stays between its colons": ([statement(Resource="arn:aws:s3?::a-bucket/*")], False),
    "missing parts of an ARN are *": ([statement(Resource="arn:aws:s3")], True),
    "missing parts of another service's ARN": ([statement(Resource="arn:aws:sqs")], False),
    "NotResource": ([statement(NotResource=f"{BUCKET}/releases/*")], True),
    "NotResource names it": ([statement(NotResource=[f"{BUCKET}/releases/*", f"{BUCKET}/data/*"])], False),
    "deny all but": ([statement(), statement("Deny", NotResource=f"{BUCKET}/data/*")], True),
    "a variable": ([statement(Resource="arn:aws:s3:::${aws:PrincipalTag/team}/*")], True),
    "a variable's case does not count": ([statement(Resource="arn:aws:s3:::${AWS:principaltag/TEAM}/*")], True),
    "a variable's value is no pattern": ([statement(Resource="${aws:PrincipalTag/star}")], False),
    "a variable's default": ([statement(Resource="arn:aws:s3:::${aws:PrincipalTag/none, 'a-bucket'}/*")], True),
    "a star that is meant": ([statement(Resource=f"{BUCKET}/${{*}}")], False),
}
TAGS = {"aws:PrincipalTag/team": "a-bucket", "aws:PrincipalTag/star": "*"}


@pytest.mark.parametrize(("statements", "allowed"), STATEMENTS.values(), ids=STATEMENTS)
def test_statements(statements: list[dict[str, Any]], allowed: bool) -> None:
    assert account(Job=role(*statements)).may("Job", READ, DATA, TAGS) is allowed


# -- conditions: operator, wanted, what the context has, whether the statement applies

K = "x:k"
CONDITIONS = [
    ("StringEquals", "a", "a", True),
    ("StringEquals", "a", "A", False),
    ("StringEquals", ["b", "a"], "a", True),
    ("StringEquals", "a*", "ab", False),
    ("StringEquals", "a${*}", "a*", True),
    ("StringEquals", "${aws:PrincipalArn}", ROLE, True),
    ("StringEquals", "a", None, False),
    ("StringEquals", 7, 7, True),
    ("StringEqualsIgnoreCase", "a", "A", True),
    ("StringEqualsIgnoreCase", "A", "a", True),
    ("StringEqualsIfExists", "a", None, True),
    ("StringEqualsIfExists", "a", "b", False),
    ("StringNotEquals", "a", "b", True),
    ("StringNotEquals", ["a", "b"], "b", False),  # neither, not either
    ("StringNotEquals", "a", None, True),  # AWS: a negated operator holds where there is no key
    ("StringNotEqualsIfExists", "a", None, True),
    ("StringNotEqualsIfExists", "a", "a", False),
    ("StringLike", "d*/?", "data/x", True),
    ("StringLike", "d*/?", "Data/x", False),
    ("StringLike", "data", "data/x", False),
    ("StringLike", "a${*}c", "abc", False),
    ("StringLike", "*", None, False),
    ("StringLikeIfExists", "data/*", None, True),
    ("StringNotLike", "data/*", "data/x", False),
    ("StringNotLike", "data/*", "other", True),
    ("StringNotLike", "data/*", None, True),
    ("ArnLike", "arn:aws:glue:*:111122223333:job/*", "arn:aws:glue:eu-west-1:111122223333:job/x", True),
    ("ArnLike", "arn:aws:*:job/x:*:*", "arn:aws:glue:eu-west-1:job/x:111122223333:x", False),
    ("ArnLike", "arn:aws:glue:*:*:*", "arn:aws:glue", False),
    ("ArnEquals", "arn:aws:glue:*:*:job/x", "arn:aws:glue:eu-west-1:111122223333:job/x", True),
    ("ArnNotLike", "arn:aws:glue:*:*:*", "arn:aws:glue:eu-west-1:111122223333:job/x", False),
    ("ArnNotEquals", "arn:aws:glue:*:*:*", "arn:aws:s3:::b", True),
    ("ArnLike", "arn:*:*:*:*:*", None, False),
    ("Bool", "true", True, True),
    ("Bool", "True", "true", True),
    ("Bool", "true", "TRUE", True),
    ("Bool", False, "true", False),
    ("Bool", "false", None, False),
    ("BoolIfExists", "false", None, True),
    ("Null", "true", None, True),
    ("Null", "true", "a", False),
    ("Null", "false", "a", True),
    ("Null", "false", None, False),
    ("Null", True, [], True),
    ("Null", "True", None, True),
    ("Null", ["true", "false"], "a", True),
    ("NumericLessThan", "10", 9, True),  # as text 9 is more
    ("NumericLessThan", "10", 10, False),
    ("NumericLessThan", "10", None, False),
    ("NumericLessThanEquals", "10", 10, True),
    ("NumericGreaterThan", "9", 10, True),
    ("NumericGreaterThan", "9", 9, False),
    ("NumericGreaterThanEquals", "9", 9, True),
    ("NumericGreaterThanEquals", "9", 8, False),
    ("NumericEquals", "1", "1.0", True),
    ("NumericNotEquals", "1", "1.0", False),
    ("ForAnyValue:StringEquals", ["a", "b"], ["b", "c"], True),
    ("ForAnyValue:StringEquals", ["a", "b"], ["c", "d"], False),
    ("ForAnyValue:StringEquals", "a", None, False),
    ("ForAnyValue:StringEqualsIfExists", "a", None, False),  # IfExists counts for nothing there
    ("ForAnyValue:StringNotEquals", "a", ["a", "b"], True),
    ("ForAnyValue:StringNotEquals", "a", ["a"], False),
    ("ForAllValues:StringLike", ["run#*", "history#*"], ["run#1", "history#1"], True),
    ("ForAllValues:StringLike", ["run#*", "history#*"], ["run#1", "total#1"], False),
    ("ForAllValues:StringLike", "run#*", None, True),
    ("ForAllValues:StringNotLike", "run#*", ["total#1", "run#1"], False),
]


@pytest.mark.parametrize("effect", ["Allow", "Deny"])
@pytest.mark.parametrize(("operator", "wanted", "has", "applies"), CONDITIONS)
def test_conditions(operator: str, wanted: object, has: object, applies: bool, effect: str) -> None:
    conditional = statement(effect, Condition={operator: {"X:K": wanted}})
    asked = account(Job=role(conditional, *([statement()] if effect == "Deny" else [])))
    assert asked.may("Job", READ, DATA, {} if has is None else {K: has}) is (applies == (effect == "Allow"))


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"StringEquals": {"x:a": "1", "x:b": "2"}}, True),
        ({"StringEquals": {"x:a": "1", "x:b": "3"}}, False),
        ({"StringEquals": {"x:a": "1"}, "StringLike": {"x:b": "3"}}, False),
    ],
)
def test_every_line_of_a_condition_must_hold(condition: dict[str, Any], allowed: bool) -> None:
    assert account(Job=role(statement(Condition=condition))).may("Job", READ, DATA, {"x:a": 1, "x:b": 2}) is allowed


@pytest.mark.parametrize("name", ["aws:SecureTransport", "aws:PrincipalArn", "kms:CallerAccount"])
def test_none_takes_away_a_key_that_aws_always_gives(name: str) -> None:
    asked = account(Job=role(statement(Condition={"Null": {name: "true"}})))
    assert not asked.may("Job", READ, DATA)
    assert asked.may("Job", READ, DATA, {name: None})


# -- what is not known raises

VPC_RULE = {"IpAddress": {"aws:SourceIp": "10.0.0.0/24"}}
UNKNOWN = {
    "an operator": (role(statement(Condition=VPC_RULE)), "IpAddress"),
    "a quantifier": (role(statement(Condition={"ForSome:StringEquals": {K: "a"}})), "ForSome"),
    "a negation": (role(statement(Condition={"NumericNotLessThan": {K: "1"}})), "NumericNotLessThan"),
    "an ARN of few parts": (role(statement(Condition={"ArnLike": {"aws:PrincipalArn": "arn:aws:iam"}})), "six parts"),
    "several values": (role(statement(Condition={"StringEquals": {K: "a"}})), "ForAnyValue"),
    "a variable": (role(statement(Resource="${aws:username}")), "aws:username"),
    "an element": (role(statement(Conditions={})), "the statement"),
    "an effect": (role(statement("allow")), "the statement"),
    "no resource": (role({"Effect": "Allow", "Action": "*"}), "the statement"),
    "a principal in an identity policy": (role(statement(Principal="*")), "the statement"),
    "a trust without a principal": (role(AssumeRolePolicyDocument=document(statement())), "the statement"),
    "a boundary": (role(statement(), PermissionsBoundary="arn:aws:iam::aws:policy/x"), "permissions boundary"),
    "a role under a condition": (role(statement()) | {"Condition": "Sometimes"}, "has a condition"),
    "an old version": (role(Policies=[{"PolicyDocument": {"Statement": []}}]), "version None"),
    "an intrinsic": (role(statement(Resource={"Fn::If": ["C", "a", "b"]})), "Fn::If"),
    "a name of nothing": (role(statement(Resource={"Ref": "Nobody"})), "Nobody"),
}


@pytest.mark.parametrize(("job", "says"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_not_known_raises(job: dict[str, Any], says: str) -> None:
    with pytest.raises(CannotTell, match=says):
        account(Job=job).may("Job", READ, DATA, {K: ["a", "b"]})


def test_an_unknown_operator_is_no_matter_where_the_statement_speaks_of_something_else() -> None:
    asked = account(Job=role(statement(), statement("Deny", Action="ec2:*", Condition=VPC_RULE)))
    assert asked.may("Job", READ, DATA)


def test_a_kind_of_policy_that_is_not_read_raises() -> None:
    policy = document(statement(Principal="*"))
    for inside in (policy, [1, {"ResourcePolicy": {"PolicyDocument": policy}}]):
        with pytest.raises(CannotTell, match="Some::Thing"):
            account(Thing=resource("Some::Thing", Some=inside))
    account(Thing=resource("Some::Thing", Statement="a query", Some=[{"No": "policy"}]))


@pytest.mark.parametrize(
    ("action", "on"), [("s3:Get*", DATA), (READ, f"{BUCKET}/*"), ("GetObject", DATA), ("*", "*")]
)
def test_a_question_is_about_one_action_on_one_resource(action: str, on: str) -> None:
    with pytest.raises(ValueError, match="one action on one resource"):
        account(Job=role(statement())).may("Job", action, on)


def test_an_action_without_resources_needs_a_star() -> None:
    asked = account(Job=role(statement(Action="ec2:Describe*"), statement(Resource="arn:aws:s3:::*")))
    assert asked.may("Job", "ec2:DescribeVpcs", "*")
    assert not asked.may("Job", "s3:ListAllMyBuckets", "*")


# -- resource policies

ME = {"AWS": ROLE}
PLAIN = {"Bool": {"aws:SecureTransport": "false"}}
BUCKET_POLICIES = {
    "no word of it": ([], [], False),
    "the role by name": ([], [statement(Principal=ME)], True),
    "another role": ([], [statement(Principal={"AWS": [ROLE + "2"]})], False),
    "anyone": ([], [statement(Principal="*")], True),
    "any of AWS": ([], [statement(Principal={"AWS": "*"})], True),
    "a service is not the role": ([], [statement(Principal={"Service": "glue.amazonaws.com"})], False),
    "the account only delegates": ([], [statement(Principal={"AWS": ROOT})], False),
    "no gate: identity suffices": ([statement()], [statement(Principal={"AWS": ROLE + "2"})], True),
    "deny the role": ([statement()], [statement("Deny", Principal=ME)], False),
    "deny anyone": ([statement()], [statement("Deny", Principal="*")], False),
    "deny the account, all of it": ([statement()], [statement("Deny", Principal={"AWS": ROOT})], False),
    "deny the account by number": ([statement()], [statement("Deny", Principal={"AWS": "111122223333"})], False),
    "deny another account": ([statement()], [statement("Deny", Principal={"AWS": "444455556666"})], True),
    "deny all but the role": ([statement()], [statement("Deny", NotPrincipal=ME)], True),
    "deny all but another": ([statement()], [statement("Deny", NotPrincipal={"AWS": ROLE + "2"})], False),
    "identity denies what the bucket allows": ([statement("Deny")], [statement(Principal=ME)], False),
    "another object": ([], [statement(Principal=ME, Resource=f"{BUCKET}/releases/*")], False),
    "the bucket, not its objects": ([], [statement(Principal=ME, Resource=BUCKET)], False),
}


@pytest.mark.parametrize(("own", "theirs", "allowed"), BUCKET_POLICIES.values(), ids=BUCKET_POLICIES)
def test_bucket_policies(own: list[Any], theirs: list[Any], allowed: bool) -> None:
    assert account(Job=role(*own), Policy=bucket_policy(*theirs)).may("Job", READ, DATA) is allowed


def test_a_bucket_refuses_plain_http() -> None:
    asked = account(Job=role(statement()), Policy=bucket_policy(statement("Deny", Principal="*", Condition=PLAIN)))
    assert asked.may("Job", READ, DATA)
    assert not asked.may("Job", READ, DATA, {"aws:SecureTransport": False})
    assert not asked.may("Job", "s3:ListBucket", BUCKET, {"AWS:SecureTransport": "false"})


def test_a_policy_governs_its_own_resource_and_its_own_service() -> None:
    asked = account(Job=role(statement()), Policy=bucket_policy(statement("Deny", Principal="*")))
    assert asked.may("Job", READ, f"{AWS}:s3:::a-bucket-too/x")
    assert not asked.may("Job", "S3:GetObject", DATA)
    assert asked.may("Job", "glue:StartJobRun", f"{AWS}:glue:eu-west-1:111122223333:job/a-bucket")


def test_a_table_has_a_policy_that_covers_its_indexes() -> None:
    policy = {"PolicyDocument": document(statement(Action="dynamodb:Query", Principal=ME))}
    asked = account(Job=role(), Ledger=resource("DynamoDB::Table", TableName="ledger", ResourcePolicy=policy))
    table = asked.arn("Ledger")
    assert table == f"{AWS}:dynamodb:eu-west-1:111122223333:table/ledger"
    assert asked.may("Job", "dynamodb:Query", table)
    assert asked.may("Job", "dynamodb:Query", f"{table}/index/by-day")
    assert not asked.may("Job", "dynamodb:PutItem", table)
    assert not asked.may("Job", "dynamodb:Query", f"{table}-too")


DELEGATED = statement(Principal={"AWS": ROOT}, Action="kms:*")
KEYS = {
    "the key delegates, identity allows": ([statement()], [key(DELEGATED)], True),
    "the key delegates, identity is silent": ([], [key(DELEGATED)], False),
    "the key does not delegate": ([statement()], [key(statement(Principal={"AWS": ROLE + "2"}))], False),
    "the key delegates something else": (
        [statement()],
        [key(statement(Principal={"AWS": ROOT}, Action="kms:Describe*"))],
        False,
    ),
    "the key delegates to another account": (
        [statement()],
        [key(statement(Principal={"AWS": "444455556666"}))],
        False,
    ),
    "the key allows the role": ([], [key(statement(Principal=ME))], True),
    "the key denies the role": ([statement()], [key(DELEGATED, statement("Deny", Principal=ME))], False),
    "no policy is the default one": ([statement()], [resource("KMS::Key")], True),
    "the default one gives nobody anything": ([], [resource("KMS::Key")], False),
}


@pytest.mark.parametrize(("own", "keys", "allowed"), KEYS.values(), ids=KEYS)
def test_the_key_policy_must_admit(own: list[Any], keys: list[Any], allowed: bool) -> None:
    asked = account(Job=role(*own), Key=keys[0])
    assert asked.may("Job", "kms:Decrypt", asked.arn("Key")) is allowed


def test_a_key_of_elsewhere_is_judged_by_identity() -> None:
    other = f"{AWS}:kms:eu-west-1:111122223333:key/other"
    asked = account(Job=role(statement(Resource=other)), Key=key())
    assert asked.may("Job", "kms:Decrypt", other)
    assert not asked.may("Job", "kms:Decrypt", asked.arn("Key"))


def test_a_service_may_what_a_resource_grants_it() -> None:
    logs = "logs.eu-west-1.amazonaws.com"
    log_group = {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:*:*:log-group:/aws-glue/*"}}
    asked = account(
        Job=role(statement()), Key=key(DELEGATED, statement(Principal={"Service": logs}, Condition=log_group))
    )
    of = {"kms:EncryptionContext:aws:logs:arn": "arn:aws:logs:eu-west-1:111122223333:log-group:/aws-glue/jobs"}
    assert asked.may(logs, "kms:Encrypt", asked.arn("Key"), of)
    assert not asked.may(logs, "kms:Encrypt", asked.arn("Key"))
    assert not asked.may("glue.amazonaws.com", "kms:Encrypt", asked.arn("Key"), of)
    assert not asked.may(logs, READ, DATA)


def test_what_passes_an_endpoint_must_be_allowed_there_too() -> None:
    here = {"StringEquals": {"aws:SourceVpce": {"Ref": "Narrow"}}}
    narrow = document(statement(Principal="*", Resource=f"{BUCKET}/*"))
    asked = account(
        Job=role(statement(Action=READ, Condition=here)),
        Free=role(statement(), RoleName="free"),
        Narrow=resource("EC2::VPCEndpoint", PolicyDocument=narrow),
        Wide=resource("EC2::VPCEndpoint"),
    )
    assert asked.may("Job", READ, DATA, through="Narrow")
    assert not asked.may("Job", READ, DATA, through="Wide")  # the condition names the other
    assert not asked.may("Job", READ, DATA)
    assert not asked.may("Job", "s3:PutObject", DATA, through="Narrow")  # an endpoint gives nothing by itself
    assert asked.may("Free", READ, f"{AWS}:s3:::other/x", through="Wide")
    assert not asked.may("Free", READ, f"{AWS}:s3:::other/x", through="Narrow")


def test_an_endpoint_can_deny() -> None:
    policy = document(statement(Principal="*"), statement("Deny", Principal="*", Action="s3:Put*"))
    asked = account(Job=role(statement()), Gate=resource("EC2::VPCEndpoint", PolicyDocument=policy))
    assert asked.may("Job", READ, DATA, through="Gate")
    assert not asked.may("Job", "s3:PutObject", DATA, through="Gate")


# -- trust, passing, managed policies


def test_trust_names_the_service_and_its_conditions() -> None:
    source = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    asked = account(
        Job=role(statement(), AssumeRolePolicyDocument=trust(Condition=source)), Bare=role(RoleName="bare")
    )
    assert asked.trusts("Bare", "glue.amazonaws.com")
    assert not asked.trusts("Bare", "ec2.amazonaws.com")
    assert not asked.trusts("Job", "glue.amazonaws.com")
    assert asked.trusts("Job", "glue.amazonaws.com", {"aws:SourceAccount": "111122223333"})
    assert not asked.trusts("Job", "glue.amazonaws.com", {"aws:SourceAccount": "444455556666"})


def test_a_role_is_assumed_only_where_it_trusts() -> None:
    by_account = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ROOT}}
    asked = account(
        Job=role(statement()),
        Idle=role(RoleName="idle"),
        Closed=role(RoleName="closed"),
        Open=role(RoleName="open", Path="/no/", AssumeRolePolicyDocument=document(by_account)),
        No=role(RoleName="no", AssumeRolePolicyDocument=document(by_account | {"Effect": "Deny"})),
        Job2=role(RoleName="job2", AssumeRolePolicyDocument=document(by_account | {"Principal": {"AWS": ROLE}})),
    )
    assert not asked.may("Job", "sts:AssumeRole", asked.arn("Closed"))
    assert asked.may("Job", "sts:AssumeRole", asked.arn("Open"))
    assert not asked.may("Idle", "sts:AssumeRole", asked.arn("Open"))
    assert asked.may("Job", "sts:AssumeRole", asked.arn("Job2"))
    assert asked.may("Job", "iam:PassRole", asked.arn("Closed"))  # trust is no matter there


def test_passing_a_role_to_a_service() -> None:
    only_ec2 = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    passing = statement(Action="iam:PassRole", Resource={"Fn::GetAtt": ["Instance", "Arn"]}, Condition=only_ec2)
    asked = account(Service=role(passing, RoleName="service"), Instance=role(RoleName="instance"))
    instance = asked.arn("Instance")
    assert asked.may("Service", "iam:PassRole", instance, {"iam:PassedToService": "ec2.amazonaws.com"})
    assert not asked.may("Service", "iam:PassRole", instance, {"iam:PassedToService": "glue.amazonaws.com"})
    assert not asked.may("Service", "iam:PassRole", instance)
    assert not asked.may(
        "Service", "iam:PassRole", asked.arn("Service"), {"iam:PassedToService": "ec2.amazonaws.com"}
    )


EMR_POLICY = {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonEMRServicePolicy_v2"}


def test_a_managed_policy_is_opaque_until_its_document_is_given() -> None:
    job = role(statement(Action=READ), statement("Deny", Action="iam:*"), ManagedPolicyArns=[EMR_POLICY])
    asked = account(Job=job)
    arn = f"{AWS}:iam::aws:policy/service-role/AmazonEMRServicePolicy_v2"
    assert asked.managed_policies("Job") == (arn,)
    assert asked.may("Job", READ, DATA)
    assert not asked.may("Job", "iam:CreateRole", "*")  # an explicit deny, whatever the policy says
    with pytest.raises(CannotTell, match="AmazonEMRServicePolicy_v2"):
        asked.may("Job", "ec2:RunInstances", "*")
    grants = document(statement(Action="ec2:*"))
    for name in (arn, "AmazonEMRServicePolicy_v2"):
        told = account({name: grants}, Job=job)
        assert told.may("Job", "ec2:RunInstances", "*")
        assert not told.may("Job", "s3:PutObject", DATA)
        assert told.managed_policies("Job") == (arn,)
    assert not account({"AmazonEMRServicePolicy_v2": NOTHING}, Job=job).may("Job", "ec2:RunInstances", "*")
    with pytest.raises(CannotTell):
        account({"Policy_v2": NOTHING}, Job=job).may("Job", "ec2:RunInstances", "*")


def test_policies_are_attached_from_either_side() -> None:
    def policy(kind: str, action: str, *roles: str) -> dict[str, Any]:
        attached = {"Roles": [{"Ref": each} for each in roles]} if roles else {}
        return resource(kind, PolicyDocument=document(statement(Action=action)), **attached)

    asked = account(
        Job=role(ManagedPolicyArns=[{"Ref": "Taken"}]),
        Other=role(RoleName="other"),
        Default=policy("IAM::Policy", READ, "Job"),
        Given=policy("IAM::ManagedPolicy", "s3:PutObject", "Job"),
        Taken=policy("IAM::ManagedPolicy", "s3:DeleteObject"),
    )
    assert asked.managed_policies("Job") == ()
    for action in (READ, "s3:PutObject", "s3:DeleteObject"):
        assert [each.logical_id for each in asked.who_can(action, DATA)] == ["Job"]


def test_who_can_hears_the_context() -> None:
    asked = account(
        Job=role(statement(Condition={"StringEquals": {K: "a"}})), Free=role(statement(), RoleName="free"), No=role()
    )
    assert [each.logical_id for each in asked.who_can(READ, DATA)] == ["Free"]
    assert [each.logical_id for each in asked.who_can(READ, DATA, {K: "a"})] == ["Job", "Free"]


def test_roles_are_found_by_a_fragment_or_a_function() -> None:
    job = {"Resources": {"Job": role(), "JobRole1": role(RoleName="one")}}
    asked = Account.from_templates({"a": job, "b": copy.deepcopy(job)})
    assert asked.role("a/Job").logical_id == "Job"
    assert (asked.role("b/Role").stack, asked.role("b/Role").logical_id) == ("b", "JobRole1")
    assert asked.role(lambda each: each.stack == "b" and each.arn.endswith("/one")) == asked.role("b/JobRole1")
    assert asked.role(asked.role("a/Job")) == asked.role("a/Job")
    for which in ("Role", "Job", "Nobody", lambda each: each.stack == "a"):
        with pytest.raises(LookupError, match="a/Job"):
            asked.role(which)


# -- intrinsics

OTHER_STACK = {
    "Outputs": {
        "Out": {"Value": {"Fn::GetAtt": ["Bucket1", "Arn"]}, "Export": {"Name": "storage:Bucket"}},
        "Named": {"Value": {"Ref": "Bucket1"}, "Export": {"Name": {"Fn::Sub": "${AWS::StackName}:Name"}}},
        "Silent": {"Value": "x"},
    },
    "Resources": {"Bucket1": resource("S3::Bucket")},
}
THIS_STACK = {
    "Parameters": {
        "Prefix": {"Type": "String", "Default": "dp"},
        "Asked": {"Type": "String"},
        "BootstrapVersion": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/cdk-bootstrap/version"},
    },
    "Resources": {
        "Named": resource("S3::Bucket", BucketName={"Fn::Join": ["-", [{"Ref": "Prefix"}, "bucket"]]}),
        "Made": resource("S3::Bucket"),
        "Table": resource("DynamoDB::Table"),
        "Key": resource("KMS::Key"),
        "Log": resource("Logs::LogGroup", LogGroupName="/aws-glue/x"),
        "Job": resource("Glue::Job", Name="a-job"),
        "Security": resource("Glue::SecurityConfiguration"),
        "Connection": resource("Glue::Connection", ConnectionInput={"Name": "inside"}),
        "Profile": resource("IAM::InstanceProfile", InstanceProfileName="p"),
        "Role": resource("IAM::Role", RoleName="r", Path="/dp/"),
        "Managed": resource("IAM::ManagedPolicy"),
        "Vpc": resource("EC2::VPC"),
        "Thing": resource("Some::Thing"),
    },
}
RESOLVED = [
    ("text ${AWS::Region}", "text ${AWS::Region}"),
    ({"Ref": "Prefix"}, "dp"),
    ({"Ref": "AWS::URLSuffix"}, "amazonaws.com"),
    ({"Ref": "Named"}, "dp-bucket"),
    ({"Fn::GetAtt": ["Named", "Arn"]}, f"{AWS}:s3:::dp-bucket"),
    ({"Fn::GetAtt": "Made.Arn"}, f"{AWS}:s3:::this-made"),
    ({"Fn::GetAtt": ["Named", "RegionalDomainName"]}, "dp-bucket.s3.eu-west-1.amazonaws.com"),
    ({"Fn::GetAtt": ["Table", "Arn"]}, f"{AWS}:dynamodb:eu-west-1:111122223333:table/this-Table"),
    ({"Fn::GetAtt": ["Key", "Arn"]}, f"{AWS}:kms:eu-west-1:111122223333:key/this-Key"),
    ({"Fn::GetAtt": ["Log", "Arn"]}, f"{AWS}:logs:eu-west-1:111122223333:log-group:/aws-glue/x:*"),
    ({"Fn::GetAtt": ["Profile", "Arn"]}, f"{AWS}:iam::111122223333:instance-profile/p"),
    ({"Fn::GetAtt": ["Role", "Arn"]}, f"{AWS}:iam::111122223333:role/dp/r"),
    ({"Fn::GetAtt": ["Vpc", "DefaultSecurityGroup"]}, "this-Vpc-default-security-group"),
    ({"Ref": "Role"}, "r"),
    ({"Ref": "Job"}, "a-job"),
    ({"Ref": "Security"}, "this-Security"),
    ({"Ref": "Connection"}, "inside"),
    ({"Ref": "Managed"}, f"{AWS}:iam::111122223333:policy/this-Managed"),
    ({"Fn::Join": ["", ["a", {"Ref": "AWS::AccountId"}, 1]]}, "a1111222233331"),
    ({"Fn::Join": [":", {"Fn::Split": ["-", "a-b-c"]}]}, "a:b:c"),
    ({"Fn::Select": ["1", {"Fn::Split": ["/", {"Fn::GetAtt": ["Profile", "Arn"]}]}]}, "p"),
    (
        {"Fn::Sub": "${AWS::Partition}-${Named}-${Key.Arn}"},
        f"aws-dp-bucket-{AWS}:kms:eu-west-1:111122223333:key/this-Key",
    ),
    ({"Fn::Sub": ["${Mine}-${!aws:username}", {"Mine": {"Ref": "Prefix"}}]}, "dp-${aws:username}"),
    ({"Fn::ImportValue": "storage:Bucket"}, f"{AWS}:s3:::storage-bucket1"),
    ({"Fn::ImportValue": {"Fn::Sub": "storage:${Sub}"}}, None),
    ({"Fn::ImportValue": {"Fn::Join": [":", ["storage", "Name"]]}}, "storage-bucket1"),
    ([{"Ref": "AWS::NoValue"}, "a"], ["a"]),
    ({"a": {"Ref": "AWS::NoValue"}, "b": [{"Ref": "Prefix"}]}, {"b": ["dp"]}),
    ({"Ref": "Asked"}, None),
    ({"Ref": "BootstrapVersion"}, None),
    ({"Ref": "Nobody"}, None),
    ({"Ref": "Thing"}, None),
    ({"Ref": "AWS::StackId"}, None),
    ({"Fn::GetAtt": ["Thing", "Arn"]}, None),
    ({"Fn::GetAtt": ["Security", "Arn"]}, None),
    ({"Fn::GetAtt": ["Named", "WebsiteURL"]}, None),
    ({"Fn::ImportValue": "storage:Silent"}, None),
    ({"Fn::FindInMap": ["a", "b", "c"]}, None),
    ({"Ref": "Prefix", "b": 1}, None),
]


@pytest.mark.parametrize(("value", "is_"), RESOLVED, ids=[str(value) for value, _ in RESOLVED])
def test_intrinsics(value: object, is_: object) -> None:
    templates = Templates({"this": THIS_STACK, "storage": OTHER_STACK}, "111122223333", "eu-west-1", "aws")
    if is_ is not None:
        assert templates.resolve("this", value) == is_
        return
    with pytest.raises(CannotTell):
        templates.resolve("this", value)


def test_two_stacks_cannot_export_one_name() -> None:
    stack = {"Outputs": {"Out": {"Value": "x", "Export": {"Name": "same"}}}}
    with pytest.raises(CannotTell, match="same"):
        Account.from_templates({"a": stack, "b": stack})


def test_a_role_reads_a_bucket_of_another_stack_in_another_partition() -> None:
    imported = {"Fn::Join": ["", [{"Fn::ImportValue": "storage:Bucket"}, "/data/*"]]}
    stacks = {"glue": {"Resources": {"Job": role(statement(Resource=imported))}}, "storage": OTHER_STACK}
    asked = Account.from_templates(stacks, partition="aws-cn", region="cn-north-1", account="444455556666")
    bucket = asked.arn("Bucket", "AWS::S3::Bucket")
    assert bucket == "arn:aws-cn:s3:::storage-bucket1"
    assert asked.role("Job").arn == "arn:aws-cn:iam::444455556666:role/job"
    assert asked.may("Job", READ, f"{bucket}/data/x.csv")
    assert not asked.may("Job", READ, f"{bucket}/releases/x.json")
