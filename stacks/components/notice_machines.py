"""What the notices do between an event and an e-mail, as two definitions of Step Functions.

All that comes in are states (stacks/notice_stack.py), and all that goes out is one publication each.
"""

from typing import Any

from aws_cdk import Aws

LIVE = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
_BUSY = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 5, "MaxAttempts": 6, "BackoffRate": 2}]
_DONE = {"Type": "Succeed"}
Definition = dict[str, Any]


def told(*, topic_arn: str, name_prefix: str) -> Definition:
    """Publish one event; that of a step only when its cluster is ours, whose name the event does not have."""
    return {
        "Comment": "One state change, to the topic",
        "StartAt": "WhatIsIt",
        "States": {
            "WhatIsIt": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.cluster", "IsPresent": True, "Next": "WhoseStep"}],
                "Default": "Tell",
            },
            "WhoseStep": {
                **_describe("$.cluster"),
                "ResultSelector": {"name.$": "$.Cluster.Name"},
                "ResultPath": "$.of",
                "Catch": [
                    {"ErrorEquals": ["States.ALL"], "ResultPath": "$.unknown", "Next": "Tell"}
                ],  # rather too much
                "Next": "IsItOurs",
            },
            "IsItOurs": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.of.name", "StringEquals": f"{name_prefix}-emr", "Next": "Tell"}],
                "Default": "Done",
            },
            "Tell": _publish(
                topic_arn,
                f"States.Format('{name_prefix}: {{}}', $.state)",
                "States.Format('{} is {} since {}.', $.what, $.state, $.time)",
            ),
            "Done": _DONE,
        },
    }


def watched(*, topic_arn: str, name_prefix: str) -> Definition:
    """Look which of our clusters are up, wait for the `seconds` of the input, and tell of those that still are."""
    return {
        "Comment": "Clusters that are older than a day, whoever started them",
        "StartAt": "WhichAreUp",
        "States": {
            "WhichAreUp": {
                "Type": "Task",
                "Resource": f"arn:{Aws.PARTITION}:states:::aws-sdk:emr:listClusters",
                "Parameters": {"ClusterStates": LIVE},
                "ResultSelector": {"clusters.$": "$.Clusters"},
                "ResultPath": "$.up",
                "Retry": _BUSY,
                "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.unknown", "Next": "TellOfNoLook"}],
                "Next": "Each",
            },
            "Each": {
                "Type": "Map",
                "ItemsPath": "$.up.clusters",
                "ItemSelector": {
                    "id.$": "$$.Map.Item.Value.Id",
                    "name.$": "$$.Map.Item.Value.Name",
                    "seconds.$": "$.seconds",
                },
                "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, **_still_up(topic_arn, name_prefix)},
                "Next": "Done",
            },
            "TellOfNoLook": _publish(
                topic_arn,
                f"States.Format('{name_prefix}: no look at the clusters')",
                f"States.Format('EMR does not tell which clusters are up: dpcloud emr status --stack {name_prefix}')",
            ),
            "Done": _DONE,
        },
    }


def _still_up(topic_arn: str, name_prefix: str) -> Definition:
    return {
        "StartAt": "IsItOurs",
        "States": {
            "IsItOurs": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.name", "StringEquals": f"{name_prefix}-emr", "Next": "ADay"}],
                "Default": "NotOurs",
            },
            "NotOurs": _DONE,
            "ADay": {"Type": "Wait", "SecondsPath": "$.seconds", "Next": "Look"},
            "Look": {
                **_describe("$.id"),
                "ResultSelector": {"state.$": "$.Cluster.Status.State"},
                "ResultPath": "$.now",
                "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.unknown", "Next": "TellOfNoAnswer"}],
                "Next": "IsItUp",
            },
            "IsItUp": {
                "Type": "Choice",
                "Choices": [
                    {"Or": [{"Variable": "$.now.state", "StringEquals": s} for s in LIVE], "Next": "TellOfIt"}
                ],
                "Default": "ItEnded",
            },
            "TellOfIt": _publish(
                topic_arn,
                f"States.Format('{name_prefix}: a cluster is older than a day')",
                "States.Format('The EMR cluster {} is older than a day, and paid for: it is {}. "
                f"To end it: dpcloud emr stop --stack {name_prefix}', $.id, $.now.state)",
            ),
            "TellOfNoAnswer": _publish(
                topic_arn,
                f"States.Format('{name_prefix}: no look at a cluster')",
                "States.Format('The EMR cluster {} was up a day ago, and EMR does not tell of it now. "
                f"See: dpcloud emr status --stack {name_prefix}', $.id)",
            ),
            "ItEnded": _DONE,
        },
    }


def _describe(cluster: str) -> Definition:
    return {
        "Type": "Task",
        "Resource": f"arn:{Aws.PARTITION}:states:::aws-sdk:emr:describeCluster",
        "Parameters": {"ClusterId.$": cluster},
        "Retry": _BUSY,
    }


def _publish(topic_arn: str, subject: str, message: str) -> Definition:
    return {
        "Type": "Task",
        "Resource": f"arn:{Aws.PARTITION}:states:::sns:publish",
        "Parameters": {"TopicArn": topic_arn, "Subject.$": subject, "Message.$": message},
        "Retry": _BUSY,
        "End": True,
    }
