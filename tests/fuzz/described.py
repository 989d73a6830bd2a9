"""docs/openapi.yaml as the fuzzers read it: what to send, and what may be answered.

The file promises to clients what holds for every site and for the versions to come. Here more is
known: which kinds of text lead somewhere, and what exactly this version answers.
"""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import schemathesis

SCHEMA_FILE = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"
_READ: dict[str, Any] = schemathesis.openapi.from_path(SCHEMA_FILE).raw_schema

# The kinds of text that `strategies` knows.
_FORMATS = {
    "CodeRequest": {"phone": "phone", "device": "device"},
    "ResendRequest": {"challenge": "challenge"},
    "ConfirmRequest": {"challenge": "challenge", "code": "code"},
}

_CHALLENGE_ID = {"pattern": "^[A-Za-z0-9_-]{32}$"}
_PHONE = {"pattern": r"^\+[0-9]{7,15}$"}
_SENTENCE = {"minLength": 1}
_EXACTLY: dict[str, dict[str, Any]] = {
    "Challenge": {
        "properties": {
            "challenge": _CHALLENGE_ID,
            "phone": {"pattern": r"^\+[0-9]{1,3}•+[0-9]{3}$"},
            "expires_in": {"maximum": 600},
            "hint": _SENTENCE,
            "call_to": _PHONE,
        },
        # The number to call belongs to the challenges that await a call, and to no others.
        "if": {"properties": {"code_length": {"const": 0}}},
        "then": {"required": ["call_to"]},
        "else": {"not": {"required": ["call_to"]}},
    },
    "Login": {
        "properties": {"token": {"pattern": "^[0-9a-f]{40}$"}, "device": {"minLength": 16}},
        "dependentRequired": {"token": ["device"]},
    },
    "LoginUser": {"properties": {"id": {"minimum": 1}, "phone": _PHONE}},
    "Phone": {"properties": {"phone": _PHONE}},
    "ConfirmRefusal": {
        "if": {"properties": {"code": {"const": "wrong_code"}}},
        "then": {"required": ["attempts_left"]},
        "else": {"not": {"required": ["attempts_left"]}},
    },
    "Undelivered": {
        "properties": {"challenge": _CHALLENGE_ID},
        "if": {"properties": {"code": {"const": "delivery_failed"}}},
        "then": {"required": ["challenge", "resend_in"]},
        "else": {"not": {"anyOf": [{"required": ["challenge"]}, {"required": ["resend_in"]}]}},
    },
}


def describe() -> dict[str, Any]:
    """Give the schema with links that carry the challenge from one operation to the next."""
    document = deepcopy(_READ)
    for operation in _operations(document):
        for response in operation["responses"].values():
            for link in response.get("links", {}).values():
                if "parameters" not in link:  # openapi-generator takes none of these
                    link["requestBody"] = {"challenge": "$response.body#/challenge"}
    return document


def describe_requests() -> dict[str, Any]:
    """Give it with the kinds of text in it that lead somewhere."""
    document = describe()
    schemas = document["components"]["schemas"]
    for name, formats in _FORMATS.items():
        for field, kind in formats.items():
            schemas[name]["properties"][field]["format"] = kind
    # The users of these sites log in with a password.
    document["components"]["securitySchemes"]["tokenAuth"] = {"type": "http", "scheme": "basic"}
    for operation in _operations(document):
        for parameter in operation.get("parameters", []):
            if parameter["name"] == "challenge":
                parameter["schema"] = {"type": "string", "format": "challenge"}
    return document


def describe_answers() -> dict[str, Any]:
    """Give the schema as JSON Schema, with no keys but those that it names, and exact."""
    document: dict[str, Any] = _without_nullable(deepcopy(_READ))
    for name, schema in document["components"]["schemas"].items():
        if "properties" in schema:
            schema["additionalProperties"] = False
            if "detail" in schema["properties"]:
                schema["properties"]["detail"].update(_SENTENCE)
        exactly = _EXACTLY.get(name, {})
        for field, constraints in exactly.get("properties", {}).items():
            schema["properties"][field].update(constraints)
        schema.update({key: value for key, value in exactly.items() if key != "properties"})
    return document


def path_of(route: str) -> str:
    """Give the path of the schema for a route of Django's."""
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for item in document["paths"].values() for each in item.values()]


def _without_nullable(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_nullable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _without_nullable(value) for key, value in schema.items() if key != "nullable"}
    if schema.get("nullable") is True:
        return {"anyOf": [found, {"type": "null"}]}
    return found
