"""What AWS refuses or does not answer, as one line with the next thing to type."""

import contextlib
import re
from collections.abc import Iterator

from dpjobs.errors import InputError

_CODE = re.compile(r"[A-Za-z0-9.]{1,80}", re.ASCII)
_ACTION = re.compile(r"to perform:? ([a-z0-9-]+:[A-Za-z0-9]+)")
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN = {
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "InvalidToken",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "AuthFailure",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403"}
_BUSY = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "SlowDown",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "InternalServerError",
    "InternalServiceException",
    "InternalFailure",
    "InternalError",
    "503",
    "500",
}
NO_ANSWER = "NoAnswer"
"""The code of a call of which nobody knows whether AWS has carried it out."""
RENEW = "`aws sso login`, or however you get AWS credentials, and the same command again"


class AwsError(InputError):
    """AWS refused a call, or gave no answer; `code` is its own word for that, "" where it gave none."""

    code: str = ""
    action: str | None = None
    """The permission that is missing, such as glue:StartJobRun, where that is why."""

    @property
    def in_doubt(self) -> bool:
        """Whether AWS may have done what it was asked all the same."""
        return self.code == NO_ANSWER or self.code in _BUSY

    @property
    def denied(self) -> bool:
        """Whether who asked may not do that."""
        return self.code in _DENIED


@contextlib.contextmanager
def explained(what: str, next_: str = "") -> Iterator[None]:
    """Turn an error of AWS's library into an AwsError: `what` was tried, and `next_` is what to type then."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConfigNotFound,
        ConfigParseError,
        ConnectTimeoutError,
        CredentialRetrievalError,
        EndpointConnectionError,
        InvalidRegionError,
        LoginError,
        NoCredentialsError,
        NoRegionError,
        PartialCredentialsError,
        ProfileNotFound,
        ProxyConnectionError,
        SSOError,
        TokenRetrievalError,
    )
    from botocore.parsers import ResponseParserError  # what answers is not AWS: a proxy, a portal

    not_sent = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError, ValueError)
    try:
        yield
    except NoRegionError:
        raise _error(f"no AWS region is set, to {what}", "AWS_REGION, or a region in the AWS profile") from None
    except NoCredentialsError:
        raise _error(f"no AWS credentials, to {what}", RENEW) from None
    except InvalidRegionError:
        raise _error(f"the AWS region that is set is none, to {what}", "AWS_REGION, such as eu-central-1") from None
    except (ProfileNotFound, ConfigNotFound, ConfigParseError) as error:
        allowed = "AWS_PROFILE and a profile that `aws configure list-profiles` names"
        raise _error(f"the AWS settings cannot be used ({type(error).__name__}), to {what}", allowed) from None
    except (SSOError, LoginError, TokenRetrievalError, CredentialRetrievalError, PartialCredentialsError) as error:
        why = f"the AWS credentials have expired, or are not whole ({type(error).__name__}), to {what}"
        raise _error(why, RENEW) from None
    except ClientError as error:
        raise of_client_error(error, what, next_) from None
    except (BotoCoreError, ResponseParserError, ValueError) as error:  # ValueError: an endpoint that is no address
        allowed = "AWS_REGION as AWS spells it, a network that leads there, and the same command again"
        made = _error(f"AWS cannot be reached ({type(error).__name__}), to {what}", allowed)
        # what was not sent was not done
        made.code = "" if isinstance(error, not_sent) else NO_ANSWER
        raise made from None


def of_client_error(error: Exception, what: str, next_: str = "") -> AwsError:
    """Explain a botocore ClientError. Its own text is shown nowhere but for the permission that it names."""
    told = getattr(error, "response", {}).get("Error", {})
    code, text = str(told.get("Code", "")), str(told.get("Message", ""))
    named = f" ({code})" if _CODE.fullmatch(code) else ""
    action = _ACTION.search(text)
    if code in _EXPIRED:
        made = _error(f"the AWS credentials have expired{named}, to {what}", RENEW)
    elif code in _UNKNOWN:
        made = _error(f"AWS does not know the credentials{named}, to {what}", RENEW)
    elif code in _DENIED:
        missing = action[1] if action else f"to {what}"
        made = _error(f"AWS does not let you {what}{named}", f"a user or role with the permission {missing}")
        made.action = action[1] if action else None
    elif code in _BUSY:
        made = _error(f"AWS is too busy{named}, to {what}", "the same command again in a minute")
    else:
        made = _error(f"AWS refuses{named}, to {what}", next_ or "see `dpcloud status --help`")
    made.code = code
    return made


def _error(what: str, allowed: str) -> AwsError:
    return AwsError(f"{what}; allowed: {allowed}")
