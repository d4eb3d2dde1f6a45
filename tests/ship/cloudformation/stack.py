"""A stack of the template in moto, in a VPC with targets that have a security group."""

from __future__ import annotations

import ast
from typing import Any
from unittest import mock

from moto.elbv2.models import FakeLoadBalancer, elbv2_backends

from . import template

REGION = "eu-west-1"
NAME = "edge"


def create_front(resource_name: str, cloudformation_json: dict, account_id: str, region_name: str,
                 **_: Any) -> FakeLoadBalancer:
    """As moto does it, but with the type: it takes each for an Application Load Balancer."""
    properties = cloudformation_json["Properties"]
    return elbv2_backends[account_id][region_name].create_load_balancer(
        resource_name, properties["SecurityGroups"], properties["Subnets"],
        scheme=properties["Scheme"], loadbalancer_type=properties["Type"])


class Stack:
    """Made at once, in whatever AWS boto3 reaches; all three balancers are asked for."""

    def __init__(self, boto3: Any) -> None:
        self._clients = {name: boto3.client(name, region_name=REGION) for name in
                         ("autoscaling", "cloudformation", "ec2", "elbv2", "iam", "ssm")}
        vpc = self._ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            self._ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{place}.0/24",
                                    AvailabilityZone=REGION + zone)["Subnet"]["SubnetId"]
            for place, zone in enumerate("abc")
        ]
        self._targets = self._ec2.create_security_group(
            GroupName="workers", Description="workers", VpcId=vpc)["GroupId"]
        image = self._ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        # Amazon's own parameter is not in moto.
        self._clients["ssm"].put_parameter(Name="/image", Value=image, Type="String")
        self.parameters = {
            "VpcId": vpc, "Subnets": ",".join(self.subnets), "ClientCidr": "10.1.0.0/16",
            "ArtifactBucket": "artifacts", "Version": "1.2.3", "ImageId": "/image",
            "MinSize": "3", "TargetSecurityGroupId": self._targets,
        }
        pairs = [{"ParameterKey": name, "ParameterValue": value}
                 for name, value in self.parameters.items()]
        with mock.patch.object(FakeLoadBalancer, "create_from_cloudformation_json", create_front):
            self._clients["cloudformation"].create_stack(
                StackName=NAME, TemplateBody=template.PATH.read_text(), Parameters=pairs,
                Capabilities=["CAPABILITY_IAM"])

    @property
    def _ec2(self) -> Any:
        return self._clients["ec2"]

    def delete(self) -> None:
        self._clients["cloudformation"].delete_stack(StackName=NAME)

    def output(self, name: str) -> str:
        [stack] = self._clients["cloudformation"].describe_stacks(StackName=NAME)["Stacks"]
        [value] = [output["OutputValue"] for output in stack["Outputs"] if output["OutputKey"] == name]
        return value

    def launch_template(self) -> dict:
        [found] = self._ec2.describe_launch_templates()["LaunchTemplates"]
        versions = self._ec2.describe_launch_template_versions(
            LaunchTemplateId=found["LaunchTemplateId"])["LaunchTemplateVersions"]
        return versions[-1]["LaunchTemplateData"]

    def group(self) -> dict:
        [group] = self._clients["autoscaling"].describe_auto_scaling_groups()["AutoScalingGroups"]
        return group

    def target_group(self) -> dict:
        [group] = self._clients["elbv2"].describe_target_groups()["TargetGroups"]
        return group

    def listeners(self) -> list[dict]:
        [front] = self._clients["elbv2"].describe_load_balancers()["LoadBalancers"]
        return self._clients["elbv2"].describe_listeners(
            LoadBalancerArn=front["LoadBalancerArn"])["Listeners"]

    def allowed(self) -> dict[str, str]:
        """Action → resource, over the role's own policies; it has no others."""
        iam = self._clients["iam"]
        [role] = iam.list_roles()["Roles"]
        attached = iam.list_attached_role_policies(RoleName=role["RoleName"])
        assert attached["AttachedPolicies"] == [], attached
        found = {}
        for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            policy = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]
            # moto gives the policies of a stack as Python writes them, not as JSON.
            policy = ast.literal_eval(policy) if isinstance(policy, str) else policy
            for statement in policy["Statement"]:
                assert statement["Effect"] == "Allow", statement
                actions = statement["Action"]
                for action in [actions] if isinstance(actions, str) else actions:
                    found[action] = statement["Resource"]
        return found

    def security_group(self, logical: str) -> dict:
        [found] = [group for group in self._security_groups() if logical in group["GroupName"]]
        return found

    def targets(self) -> dict:
        [found] = [group for group in self._security_groups() if group["GroupId"] == self._targets]
        return found

    def _security_groups(self) -> list[dict]:
        return self._ec2.describe_security_groups()["SecurityGroups"]

    def left(self) -> dict[str, list]:
        """What there is, by kind, of what the template creates. (moto never deletes target groups.)"""
        found = {
            "groups": self._clients["autoscaling"].describe_auto_scaling_groups()["AutoScalingGroups"],
            "templates": self._ec2.describe_launch_templates()["LaunchTemplates"],
            "fronts": self._clients["elbv2"].describe_load_balancers()["LoadBalancers"],
            "roles": self._clients["iam"].list_roles()["Roles"],
            "profiles": self._clients["iam"].list_instance_profiles()["InstanceProfiles"],
            "security groups": [group for group in self._security_groups()
                                if group["GroupName"].startswith(NAME)],
        }
        return {kind: there for kind, there in found.items() if there}
