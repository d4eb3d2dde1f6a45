"""The template as it is written."""

from __future__ import annotations

import re

from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]

from .. import places

PATH = places.ROOT / "deploy" / "cloudformation" / "stateless-load-balancer.yaml"


def load() -> dict:
    return cfn_yaml.load(str(PATH))


def resources() -> dict:
    return load()["Resources"]


def user_data_source() -> str:
    """The script of the instances, before anything is put in."""
    data = resources()["LaunchTemplate"]["Properties"]["LaunchTemplateData"]
    return data["UserData"]["Fn::Base64"]["Fn::Sub"]


def user_data(values: dict[str, str]) -> str:
    """The script with parameters put in as Fn::Sub does; `${!NAME}` stays `${NAME}`."""
    defaults = {name: str(parameter["Default"]) for name, parameter in load()["Parameters"].items()
                if "Default" in parameter}
    known = {"AWS::Region": "eu-west-1", "AWS::StackName": "edge", **defaults, **values}

    def put_in(match: re.Match[str]) -> str:
        name = match[1]
        return "${" + name[1:] + "}" if name.startswith("!") else known[name]

    return re.sub(r"\$\{([^}]+)\}", put_in, user_data_source())
