"""Every error of AWS's library is one line with the next thing to type, and is in doubt where AWS may have acted."""

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from dpcloud.aws.errors import AwsError, explained

RENEW = "allowed: `aws sso login`, or however you get AWS credentials"
NETWORK = "allowed: AWS_REGION as AWS spells it, a network that leads there"
URL = {"endpoint_url": "http://SECRET"}


def refused(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


def made_of(error: Exception) -> AwsError:
    with pytest.raises(AwsError) as raised, explained("do it", "`dpcloud runs`"):
        raise error
    line = str(raised.value)
    assert "SECRET" not in line
    assert "to do it" in line or "let you do it" in line
    assert len(line.splitlines()) == 1
    return raised.value


@pytest.mark.parametrize(
    ("error", "said", "allowed", "doubt"),
    [
        (exceptions.NoRegionError(), "no AWS region is set", "allowed: AWS_REGION", False),
        (
            exceptions.InvalidRegionError(region_name="SECRET"),
            "the AWS region that is set is none",
            "AWS_REGION",
            False,
        ),
        (exceptions.ProfileNotFound(profile="SECRET"), "(ProfileNotFound)", "`aws configure list-profiles`", False),
        (exceptions.ConfigParseError(path="SECRET"), "(ConfigParseError)", "AWS_PROFILE", False),
        (exceptions.NoCredentialsError(), "no AWS credentials", RENEW, False),
        (exceptions.PartialCredentialsError(provider="SECRET", cred_var="x"), "not whole (Partial", RENEW, False),
        (exceptions.CredentialRetrievalError(provider="SECRET", error_msg="x"), "(CredentialRetrieval", RENEW, False),
        (exceptions.UnauthorizedSSOTokenError(), "have expired, or", RENEW, False),
        (exceptions.LoginRefreshRequired(), "have expired, or", RENEW, False),
        (exceptions.EndpointConnectionError(**URL), "cannot be reached (Endpoint", NETWORK, False),
        (exceptions.ConnectTimeoutError(**URL), "cannot be reached (ConnectTimeout", NETWORK, False),
        (exceptions.ProxyConnectionError(proxy_url="SECRET"), "cannot be reached (Proxy", NETWORK, False),
        (exceptions.ReadTimeoutError(**URL), "cannot be reached (ReadTimeout", NETWORK, True),
        (exceptions.ConnectionClosedError(**URL), "cannot be reached (ConnectionClosed", NETWORK, True),
        (ResponseParserError("SECRET"), "cannot be reached (ResponseParserError)", NETWORK, True),
        (ValueError("SECRET"), "cannot be reached (ValueError)", NETWORK, False),
        (refused("ExpiredToken", "SECRET"), "the AWS credentials have expired (ExpiredToken)", RENEW, False),
        (refused("ExpiredTokenException"), "the AWS credentials have expired (ExpiredToken", RENEW, False),
        (refused("InvalidToken", "SECRET"), "AWS does not know the credentials (InvalidToken)", RENEW, False),
        (refused("ThrottlingException"), "AWS is too busy", "the same command again in a minute", True),
        (refused("503"), "AWS is too busy (503)", "the same command again in a minute", True),
        (refused("500"), "AWS is too busy (500)", "the same command again in a minute", True),
        (refused("InternalFailure"), "AWS is too busy (InternalFailure)", "again in a minute", True),
        (refused("ValidationError", "SECRET"), "AWS refuses (ValidationError)", "allowed: `dpcloud runs`", False),
        (refused("no code: SECRET"), "AWS refuses, to do it", "allowed: `dpcloud runs`", False),
        (refused("AccessDenied", "SECRET"), "AWS does not let you do it", "the permission to do it", False),
        (
            refused("AccessDenied", "SECRET is not authorized to perform: glue:StartJobRun on SECRET"),
            "AWS does not let you do it",
            "a user or role with the permission glue:StartJobRun",
            False,
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_of_awss_library(error: Exception, said: str, allowed: str, doubt: bool) -> None:
    made = made_of(error)
    assert said in str(made)
    assert allowed in str(made)
    assert made.in_doubt is doubt


def test_a_permission_that_is_missing_is_told_apart() -> None:
    made = made_of(refused("AccessDeniedException", "You are not authorized to perform: s3:PutObject"))
    assert (made.denied, made.action) == (True, "s3:PutObject")
    assert not made_of(refused("ExpiredToken")).denied
