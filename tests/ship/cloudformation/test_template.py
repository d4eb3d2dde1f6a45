"""deploy/cloudformation: clean for cfn-lint, and created in moto."""

from __future__ import annotations

import base64
import subprocess
import unittest

from .. import places

try:
    import boto3
    from moto import mock_aws
except ImportError:
    raise unittest.SkipTest("there is no moto")

from . import template
from .stack import Stack


class Template(unittest.TestCase):
    def test_cfn_lint_finds_nothing(self):
        command = [places.program("cfn-lint"), "--", str(template.PATH)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual((ran.returncode, ran.stdout), (0, ""), ran.stderr)

    def test_instances_are_replaced_by_others_that_serve(self):
        """What moto does not keep of these resources is looked up in the template itself."""
        group = template.resources()["Group"]
        refresh = group["UpdatePolicy"]["AutoScalingInstanceRefresh"]["Preferences"]
        self.assertEqual(refresh["MinHealthyPercentage"], 100)
        self.assertGreater(refresh["MaxHealthyPercentage"], 100)
        [hook] = group["Properties"]["LifecycleHookSpecificationList"]
        self.assertEqual(hook["LifecycleTransition"], "autoscaling:EC2_INSTANCE_LAUNCHING")
        self.assertEqual(hook["DefaultResult"], "ABANDON")
        self.assertIn(f"hook={hook['LifecycleHookName']}\n", template.user_data_source())
        self.assertEqual(group["Properties"]["HealthCheckType"], "EC2")

    def test_their_number_follows_the_processor(self):
        policy = template.resources()["Scaling"]["Properties"]
        self.assertEqual(policy["PolicyType"], "TargetTrackingScaling")
        metric = policy["TargetTrackingConfiguration"]["PredefinedMetricSpecification"]
        self.assertEqual(metric, {"PredefinedMetricType": "ASGAverageCPUUtilization"})

    def test_the_delay_before_the_end_covers_the_health_checks(self):
        group = template.resources()["Balancers"]["Properties"]
        noticed = group["HealthCheckIntervalSeconds"] * (group["UnhealthyThresholdCount"] + 1)
        self.assertIn(f"SHUTDOWN_DELAY={noticed}\n", template.user_data_source())


class Created(unittest.TestCase):
    """All look at one stack; the last one, by its name, deletes it."""

    @classmethod
    def setUpClass(cls):
        aws = mock_aws()
        aws.start()
        cls.addClassCleanup(aws.stop)
        cls.stack = Stack(boto3)

    def test_instances_take_the_second_version_of_the_metadata_service_only(self):
        data = self.stack.launch_template()
        self.assertEqual(data["MetadataOptions"], {"HttpTokens": "required",
                                                   "HttpPutResponseHopLimit": 1})
        self.assertRegex(data["InstanceType"], r"^c7g\.")
        self.assertTrue(data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"])
        text = base64.b64decode(data["UserData"]).decode()
        self.assertTrue(text.startswith("#!/bin/bash\n"))
        self.assertIn(f"version='{self.stack.parameters['Version']}'", text)

    def test_as_many_instances_as_asked_in_all_zones(self):
        group = self.stack.group()
        self.assertEqual(len(group["Instances"]), 3)
        self.assertEqual(set(group["VPCZoneIdentifier"].split(",")), set(self.stack.subnets))
        self.assertEqual(group["TargetGroupARNs"], [self.stack.output("TargetGroupArn")])

    def test_the_front_asks_each_balancer_whether_it_is_ready(self):
        group = self.stack.target_group()
        self.assertEqual((group["Protocol"], group["Port"]), ("TCP", 80))
        asked = (group["HealthCheckProtocol"], group["HealthCheckPort"], group["HealthCheckPath"])
        self.assertEqual(asked, ("HTTP", "9901", "/readyz"))
        [listener] = self.stack.listeners()
        self.assertEqual((listener["Protocol"], listener["Port"]), ("TCP", 80))

    def test_the_role_may_do_no_more_than_it_needs(self):
        allowed = self.stack.allowed()
        self.assertEqual(set(allowed), {
            "autoscaling:DescribeAutoScalingGroups", "ec2:DescribeInstances", "s3:GetObject",
            "autoscaling:CompleteLifecycleAction",
        })
        self.assertEqual(allowed["s3:GetObject"], "arn:aws:s3:::artifacts/*")
        group = allowed["autoscaling:CompleteLifecycleAction"]
        self.assertRegex(group, r":autoScalingGroup:\*:autoScalingGroupName/edge-balancers$")
        self.assertEqual(self.stack.group()["AutoScalingGroupName"], "edge-balancers")

    def test_balancers_are_reached_through_the_front_alone(self):
        front, balancers = self.stack.security_group("Front"), self.stack.security_group("Balancer")
        self.assertEqual([(rule["FromPort"], rule["IpRanges"][0]["CidrIp"])
                          for rule in front["IpPermissions"]], [(80, "10.1.0.0/16")])
        let_in = {rule["FromPort"]: rule for rule in balancers["IpPermissions"]}
        self.assertEqual(set(let_in), {80, 9901})
        for rule in let_in.values():
            self.assertEqual(rule["IpRanges"], [])
            [pair] = rule["UserIdGroupPairs"]
            self.assertEqual(pair["GroupId"], front["GroupId"])

    def test_targets_let_the_balancers_in(self):
        [rule] = self.stack.targets()["IpPermissions"]
        self.assertEqual((rule["FromPort"], rule["ToPort"]), (30080, 30080))
        [pair] = rule["UserIdGroupPairs"]
        self.assertEqual(pair["GroupId"], self.stack.output("SecurityGroupId"))

    def test_zz_a_deleted_stack_leaves_nothing(self):
        self.assertNotEqual(self.stack.left(), {})
        self.stack.delete()
        self.assertEqual(self.stack.left(), {})
