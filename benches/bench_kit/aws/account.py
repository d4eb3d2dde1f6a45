"""A moto server and the AWS account in it."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

from bench_kit.errors import BenchError
from bench_kit.processes import free_port, in_child

ROOT = Path(__file__).resolve().parents[3]
REGION = "eu-west-1"  # the default of AWS_REGION
GROUP = "worker-nodes"  # the default of ASG_NAME
TAG = {"Key": "Name", "Value": "worker-node"}  # the defaults of TAG_NAME and TAG_VALUE
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def use_python_with_moto() -> None:
    """Starts this program again under the tests' Python where this one has no moto."""
    try:
        import boto3  # noqa: F401
        import moto  # noqa: F401
    except ImportError:
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        python = os.environ.get("SLB_TEST_PYTHON") or str(target / "venv" / "bin" / "python")
        if not Path(python).exists() or os.path.samefile(Path(sys.prefix), Path(python).parents[1]):
            raise BenchError(
                f"there is no moto in {python}: run scripts/test.sh once, which installs it, or "
                "have SLB_TEST_PYTHON name a Python with tests/requirements.txt"
            )
        os.execv(python, [python, *sys.argv])


class Moto:
    """A moto process. What was done in it can be done again in the next, with the same ids."""

    def __init__(self, log: Path):
        self.port = free_port(["127.0.0.1"])
        self._private = free_port(["127.0.0.1"])
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self._done: list[tuple[str, str, dict[str, object]]] = []
        self._start()
        self._listen(self.port)

    @property
    def endpoint(self) -> str:
        """What AWS_ENDPOINT_URL has to be."""
        return f"http://127.0.0.1:{self.port}"

    def do(self, service: str, action: str, **arguments: object) -> dict[str, object]:
        """Changes something. What it is called by AWS depends on what was done before alone."""
        self._done.append((service, action, arguments))
        return self._perform(len(self._done), service, action, arguments)

    def kill(self) -> None:
        """It refuses connections from now on and forgets everything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Starts it again: it knows all it knew before it answers anybody."""
        self._start()
        for number, step in enumerate(self._done, 1):
            self._perform(number, *step)
        self._listen(self.port)

    def _start(self) -> None:
        script = Path(__file__).with_name("serve_moto.py")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                preexec_fn=in_child,
            )
        self._listen(self._private)

    def _listen(self, port: int) -> None:
        assert self._process and self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(f"{port}\n")
            self._process.stdin.flush()
            answered = self._process.stdout.readline()
        except BrokenPipeError:
            answered = ""
        if answered.strip() != str(port):
            raise BenchError(f"moto did not start:\n{self._log.read_text(errors='replace')}")

    def _perform(self, number: int, service: str, action: str, arguments: dict) -> dict:
        endpoint = f"http://127.0.0.1:{self._private}"
        # moto draws ids from a random generator: the same seed before the same step, the same ids.
        seed = urllib.request.Request(f"{endpoint}/moto-api/seed?a={number}", method="POST")
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(seed).close()
        return getattr(self._client(service, endpoint), action)(**arguments)

    def _client(self, service: str, endpoint: str):
        import boto3
        from botocore.config import Config

        config = Config(proxies={}, retries={"total_max_attempts": 1}, read_timeout=120)
        return boto3.client(
            service,
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=config,
        )


class Fleet:
    """Instances in two zones, at loopback addresses, and an Auto Scaling Group."""

    def __init__(self, moto: Moto, network: str = "127.0.0.0/16"):
        self._moto = moto
        self._subnets = []
        vpc = moto.do("ec2", "create_vpc", CidrBlock=network)["Vpc"]["VpcId"]
        halves = ipaddress.ip_network(network).subnets()
        for half, zone in zip(halves, "ab"):
            subnet = moto.do(
                "ec2",
                "create_subnet",
                VpcId=vpc,
                CidrBlock=str(half),
                AvailabilityZone=REGION + zone,
            )
            self._subnets.append((half, subnet["Subnet"]["SubnetId"]))
        moto.do(
            "autoscaling",
            "create_launch_configuration",
            LaunchConfigurationName="worker",
            ImageId="ami-12345678",
            InstanceType="t3.nano",
        )
        moto.do(
            "autoscaling",
            "create_auto_scaling_group",
            AutoScalingGroupName=GROUP,
            LaunchConfigurationName="worker",
            MinSize=0,
            MaxSize=100,
            DesiredCapacity=0,
            VPCZoneIdentifier=",".join(subnet for _, subnet in self._subnets),
        )

    def launch(self, address: str) -> str:
        """Runs an instance with the tag; returns its id."""
        ip = ipaddress.ip_address(address)
        subnet = next(subnet for half, subnet in self._subnets if ip in half)
        return self._run(1, subnet, PrivateIpAddress=address)

    def launch_many(self, count: int) -> None:
        """Runs instances with the tag, half of them in each zone, at addresses of moto's choice."""
        for part, (_, subnet) in zip([count - count // 2, count // 2], self._subnets):
            self._run(part, subnet)

    def _run(self, count: int, subnet: str, **arguments: str) -> str:
        answer = self._moto.do(
            "ec2",
            "run_instances",
            ImageId="ami-12345678",
            MinCount=count,
            MaxCount=count,
            SubnetId=subnet,
            TagSpecifications=[{"ResourceType": "instance", "Tags": [TAG]}],
            **arguments,
        )
        return answer["Instances"][0]["InstanceId"]

    def scale_out(self, address: str) -> str:
        """Runs an instance as a member of the group; returns its id."""
        instance = self.launch(address)
        arguments = {"AutoScalingGroupName": GROUP, "InstanceIds": [instance]}
        self._moto.do("autoscaling", "attach_instances", **arguments)
        return instance

    def terminate(self, instance: str) -> None:
        """Has the group end a member for good."""
        self._moto.do(
            "autoscaling",
            "terminate_instance_in_auto_scaling_group",
            InstanceId=instance,
            ShouldDecrementDesiredCapacity=True,
        )
