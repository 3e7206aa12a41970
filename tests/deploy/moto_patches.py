"""What moto 5.2.5 lacks of CloudFormation for our stacks, added one by one to the classes of this process.

What moto skips or ignores altogether (network ACLs, bucket policies, …) is asserted on the templates in tests/infra/
instead.
"""

import json
from typing import Any

import pytest
from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend, Stack
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.common_models import CloudFormationModel
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_ip_addresses import ElasticAddress
from moto.ec2.models.flow_logs import FlowLogs
from moto.ec2.models.internet_gateways import InternetGateway
from moto.ec2.models.nat_gateways import NatGateway
from moto.ec2.models.route_tables import RouteTable
from moto.ec2.models.subnets import SubnetBackend, SubnetRouteTableAssociation
from moto.ec2.models.vpcs import VPCEndPoint
from moto.ec2.models.vpn_gateway import VPCGatewayAttachment
from moto.emr.models import Cluster
from moto.glue.models import FakeJobRun, glue_backends
from moto.glue.responses import GlueResponse
from moto.iam.models import ManagedPolicy
from moto.kms.models import Key, KmsBackend, kms_backends
from moto.ssm.models import Parameter
from moto.stepfunctions import models as stepfunctions_models
from moto.stepfunctions import responses as stepfunctions_responses
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_glue import (
    StateTaskServiceGlue,
)
from moto.stepfunctions.parser.models import stepfunctions_parser_backends


def tagged_kms_keys(patch: pytest.MonkeyPatch) -> None:
    """CloudFormation's tags have Key and Value, KMS's TagKey and TagValue; moto hands on the former."""
    create = KmsBackend.create_key

    def create_key(self: KmsBackend, *args: Any, tags: list[dict[str, str]] | None = None, **kwargs: Any) -> Key:
        renamed = [{f"Tag{k.removeprefix('Tag')}": v for k, v in tag.items()} for tag in tags or []]
        return create(self, *args, tags=renamed, **kwargs)

    patch.setattr(KmsBackend, "create_key", create_key)


def deleted_keys(patch: pytest.MonkeyPatch) -> None:
    """A stack's key is scheduled for deletion when the stack goes."""

    def delete(self: Key, account_id: str, region: str) -> None:
        kms_backends[account_id][region].schedule_key_deletion(self.id, 7)

    patch.setattr(Key, "delete", delete, raising=False)


def deleted_policies(patch: pytest.MonkeyPatch) -> None:
    """A stack's managed policies go with it."""

    def delete(self: ManagedPolicy, account_id: str, region: str) -> None:
        self.backend.managed_policies.pop(self.arn, None)

    patch.setattr(ManagedPolicy, "delete", delete, raising=False)


def deleted_network_parts(patch: pytest.MonkeyPatch) -> None:
    """NAT gateways, addresses, internet gateways, endpoints, flow logs and route tables go with their stack."""

    def nat_gateway(self: NatGateway, account_id: str, region: str) -> None:
        ec2_backends[account_id][region].nat_gateways.pop(self.id)

    def address(self: ElasticAddress, account_id: str, region: str) -> None:
        ec2_backends[account_id][region].release_address(allocation_id=self.allocation_id)

    def attachment(self: VPCGatewayAttachment, account_id: str, region: str) -> None:
        ec2_backends[account_id][region].detach_internet_gateway(self.gateway_id, self.vpc_id)

    def internet_gateway(self: InternetGateway, account_id: str, region: str) -> None:
        ec2_backends[account_id][region].delete_internet_gateway(self.id)

    def endpoint(self: VPCEndPoint, account_id: str, region: str) -> None:
        ec2_backends[account_id][region].vpc_end_points.pop(self.id)

    def flow_log(self: FlowLogs, account_id: str, region: str) -> None:
        ec2_backends[account_id][region].delete_flow_logs([self.id])

    def route_table(self: RouteTable, account_id: str, region: str) -> None:
        ec2_backends[account_id][region].delete_route_table(self.id)

    for model, how in (
        (NatGateway, nat_gateway),
        (ElasticAddress, address),
        (VPCGatewayAttachment, attachment),
        (InternetGateway, internet_gateway),
        (VPCEndPoint, endpoint),
        (FlowLogs, flow_log),
        (RouteTable, route_table),
    ):
        patch.setattr(model, "delete", how, raising=False)


def associated_route_tables(patch: pytest.MonkeyPatch) -> None:
    """A stack's association of subnet and route table is one of EC2's, too; it goes with the stack."""

    def create(self: SubnetBackend, route_table_id: str, subnet_id: str) -> SubnetRouteTableAssociation:
        made = SubnetRouteTableAssociation(route_table_id, subnet_id)
        made.id = self.associate_route_table(route_table_id, subnet_id=subnet_id)
        return made

    def delete(self: SubnetRouteTableAssociation, account_id: str, region: str) -> None:
        ec2_backends[account_id][region].disassociate_route_table(self.id)

    patch.setattr(SubnetBackend, "create_subnet_association", create)
    patch.setattr(SubnetRouteTableAssociation, "delete", delete, raising=False)


def no_outputs_of_deleted_stacks(patch: pytest.MonkeyPatch) -> None:
    """Telling a deleted stack's outputs makes its resources again."""
    delete_stack = Stack.delete

    def delete(self: Stack) -> None:
        delete_stack(self)
        self.output_map = {}

    patch.setattr(Stack, "delete", delete)


def protected_stacks(patch: pytest.MonkeyPatch) -> None:
    """A stack with termination protection is not deleted, and the protection can be switched."""
    delete_stack = CloudFormationBackend.delete_stack

    def delete(self: CloudFormationBackend, name_or_stack_id: str) -> None:
        for stack in self.stacks.values():
            if name_or_stack_id in (stack.name, stack.stack_id) and _true(stack.enable_termination_protection):
                said = f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
                raise ValidationError(message=said)
        delete_stack(self, name_or_stack_id)

    def update(self: CloudFormationResponse) -> ActionResult:
        stack = self.cloudformation_backend.get_stack(self._get_param("StackName"))
        stack.enable_termination_protection = _true(self._get_param("EnableTerminationProtection"))
        return ActionResult({"StackId": stack.stack_id})

    patch.setattr(CloudFormationBackend, "delete_stack", delete)
    patch.setattr(CloudFormationResponse, "update_termination_protection", update, raising=False)


def _true(value: object) -> bool:
    return str(value).lower() == "true"


class GlueJob(CloudFormationModel):
    """A job of a stack is one of Glue's."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def physical_resource_id(self) -> str:
        return self.name

    @staticmethod
    def cloudformation_name_type() -> str:
        return "Name"

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::Glue::Job"

    @classmethod
    def create_from_cloudformation_json(  # type: ignore[override]
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **kwargs: Any
    ) -> "GlueJob":
        given = cloudformation_json["Properties"]
        glue_backends[account_id][region_name].create_job(
            name=given["Name"],
            role=given["Role"],
            command=given["Command"],
            description=given.get("Description", ""),
            log_uri="",
            execution_property=given["ExecutionProperty"],
            default_arguments=given["DefaultArguments"],
            non_overridable_arguments=given["NonOverridableArguments"],
            connections=given.get("Connections", {}),
            max_retries=given["MaxRetries"],
            allocated_capacity=0,
            timeout=given["Timeout"],
            max_capacity=0.0,
            security_configuration=str(given.get("SecurityConfiguration", "")),
            tags=given.get("Tags", {}),
            notification_property={},
            glue_version=given["GlueVersion"],
            number_of_workers=given["NumberOfWorkers"],
            worker_type=given["WorkerType"],
            code_gen_configuration_nodes={},
            execution_class=given.get("ExecutionClass", "STANDARD"),
            source_control_details={},
        )
        return cls(given["Name"])

    @classmethod
    def update_from_cloudformation_json(  # type: ignore[override]
        cls,
        original_resource: "GlueJob",
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> "GlueJob":
        return cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)

    @classmethod
    def delete_from_cloudformation_json(  # type: ignore[override]
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> None:
        glue_backends[account_id][region_name].delete_job(resource_name)


def glue_jobs(patch: pytest.MonkeyPatch) -> None:
    """CloudFormation makes Glue's jobs, and a run that failed says why."""
    patch.setitem(parsing.get_model_map(), GlueJob.cloudformation_type(), GlueJob)
    patch.setitem(parsing.get_name_type_map(), GlueJob.cloudformation_type(), GlueJob.cloudformation_name_type())
    as_dict = FakeJobRun.as_dict

    def told(self: FakeJobRun) -> dict[str, Any]:
        return {**as_dict(self), "ErrorMessage": getattr(self, "error_message", "")}

    patch.setattr(FakeJobRun, "as_dict", told)


def stopped_runs(patch: pytest.MonkeyPatch) -> None:
    """A job run can be stopped."""

    def batch_stop_job_run(self: GlueResponse) -> str:
        job, ids = self.parameters["JobName"], self.parameters["JobRunIds"]
        for run in self.glue_backend.get_job(job).job_runs:
            if run.job_run_id in ids:
                run.status = "STOPPED"
        return json.dumps({"SuccessfulSubmissions": [{"JobName": job, "JobRunId": id_} for id_ in ids], "Errors": []})

    patch.setattr(GlueResponse, "batch_stop_job_run", batch_stop_job_run, raising=False)


def waiting_clusters(patch: pytest.MonkeyPatch) -> None:
    """A cluster of a stack stays without steps: moto does not read KeepJobFlowAliveWhenNoSteps there."""
    create = Cluster.create_from_cloudformation_json.__func__

    def kept_alive(
        cls: type[Cluster], resource_name: str, cloudformation_json: Any, *args: Any, **kwargs: Any
    ) -> Cluster:
        instances = cloudformation_json["Properties"]["Instances"]
        instances["keep_job_flow_alive_when_no_steps"] = instances.get("KeepJobFlowAliveWhenNoSteps")
        made: Cluster = create(cls, resource_name, cloudformation_json, *args, **kwargs)
        return made

    patch.setattr(Cluster, "create_from_cloudformation_json", classmethod(kept_alive))


def executed_state_machines(patch: pytest.MonkeyPatch) -> None:
    """State machines run, a stack's too; a task that waits for its job run does wait, where moto runs into None."""
    backends = stepfunctions_parser_backends
    patch.setattr(stepfunctions_responses, "get_backend", lambda account, region: backends[account][region])
    patch.setattr(stepfunctions_models, "stepfunctions_backends", backends)

    def waited(
        self: StateTaskServiceGlue, env: Any, resource_runtime_part: Any, normalised_parameters: Any, **more: Any
    ) -> None:
        resolver = self._build_sync_resolver(env, resource_runtime_part, normalised_parameters, **more)
        nothing = {"timeout_seconds": None, "callback_endpoint": None, "heartbeat_endpoint": None}
        env.stack.append(self._eval_sync(env, resolver, **nothing))

    patch.setattr(StateTaskServiceGlue, "_eval_integration_pattern", waited)


def named_parameters(patch: pytest.MonkeyPatch) -> None:
    """A parameter without a name gets CloudFormation's, and its tags are a map there, a list in SSM."""
    create = Parameter.create_from_cloudformation_json.__func__

    def named(cls: type[Parameter], resource_name: str, cloudformation_json: Any, *args: Any, **kwargs: Any) -> Any:
        properties = {"Name": resource_name, **cloudformation_json["Properties"]}
        properties["Tags"] = [{"Key": k, "Value": v} for k, v in properties.get("Tags", {}).items()]
        return create(cls, resource_name, {**cloudformation_json, "Properties": properties}, *args, **kwargs)

    patch.setattr(Parameter, "create_from_cloudformation_json", classmethod(named))


def apply(patch: pytest.MonkeyPatch) -> None:
    """Apply all of them until the patch is undone."""
    for part in (
        tagged_kms_keys,
        deleted_keys,
        deleted_policies,
        deleted_network_parts,
        associated_route_tables,
        no_outputs_of_deleted_stacks,
        protected_stacks,
        glue_jobs,
        stopped_runs,
        waiting_clusters,
        executed_state_machines,
        named_parameters,
    ):
        part(patch)
