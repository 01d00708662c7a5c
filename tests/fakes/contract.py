"""Requests compared with an excerpt of a published description of an API (tests/data/contracts)."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from tests.fakes.server import Request

CONTRACTS = Path(__file__).parents[1] / "data" / "contracts"


@cache
def operations(name: str) -> dict[str, Any]:
    return dict(json.loads((CONTRACTS / f"{name}.json").read_text(encoding="utf-8"))["operations"])


def find_violations(name: str, request: Request, path: str) -> list[str]:
    """What is wrong with a request for ``path`` by the description."""
    operation, where = _find_operation(name, request.method, path)
    if operation is None:
        return [f"{where}: no such operation"]
    allowed = {one["name"]: one for one in operation["parameters"]}
    errors = [f"{where}: no parameter {given!r}" for given in request.query if given not in allowed]
    for given, values in request.query.items():
        schema = allowed.get(given, {}).get("schema", {})
        value = int(values[-1]) if schema.get("type") == "integer" and values[-1].isdigit() else values[-1]
        errors += _wrong(value, schema, f"{where} ?{given}")
    errors += [f"{where}: {one} is missing" for one in allowed if allowed[one]["required"] and one not in request.query]
    if operation["body"] is None:
        return errors + ([f"{where}: takes no body"] if request.text else [])
    if not request.headers.get("content-type", "").startswith("application/json"):
        errors.append(f"{where}: the body is not declared as JSON")
    return errors + _wrong(request.json, operation["body"], where)


def _find_operation(name: str, method: str, path: str) -> tuple[dict[str, Any] | None, str]:
    for where, operation in operations(name).items():
        verb, _, template = where.partition(" ")
        if verb.upper() == method and re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)), path):
            return operation, where
    return None, f"{method} {path}"


def _wrong(value: Any, schema: dict[str, Any], where: str) -> list[str]:
    validator = jsonschema.Draft7Validator(schema)
    return [f"{where}: {error.json_path}: {error.message[:300]}" for error in validator.iter_errors(value)]
