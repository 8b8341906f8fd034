"""Transforms a SAM template as CloudFormation does when it is deployed.

usage: transform.py TEMPLATE > TRANSFORMED

What is in files of this machine is taken to be in a bucket, as sam package leaves
it. It says what is wrong with the template, and fails.
"""

import json
import os
import sys

from samtranslator.public.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

PACKAGED = {
    "CodeUri": "s3://packaged/code",
    "DefinitionUri": "s3://packaged/definition",
    "TemplateURL": "https://s3.amazonaws.com/packaged/template",
}

# What SAM gives roles besides the template's policies. docs/security.md says why.
GIVEN = (
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
    "arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole",
    "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess",
    "lambda:InvokeFunction",
    "sqs:SendMessage",
)


class NoPolicies:
    """The account's managed policies, which the template names none of."""

    def load(self):
        return {}


def added(name, properties):
    """Yields the managed policies of a role, and the actions of policies that are not the template's."""
    yield from properties.get("ManagedPolicyArns", [])
    for policy in properties.get("Policies", []):
        if "Fn::If" not in policy and not policy["PolicyName"].startswith(f"{name}Policy"):
            yield from (statement["Action"] for statement in policy["PolicyDocument"]["Statement"])


def main(path):
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    with open(path, encoding="utf-8") as f:
        template = yaml_parse(f)
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        properties.update({name: uri for name, uri in PACKAGED.items() if name in properties})
    try:
        transformed = transform(template, {}, NoPolicies())
    except InvalidDocumentException as e:
        sys.exit("\n".join(f"{path}: {cause.message}" for cause in e.causes))
    for name, resource in transformed["Resources"].items():
        for given in set(added(name, resource["Properties"])) - set(GIVEN):
            sys.exit(f"{path}: {name} gets {given}, which docs/security.md does not tell of")
    json.dump(transformed, sys.stdout, indent=1)


main(sys.argv[1])
