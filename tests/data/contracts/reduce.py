"""Cut the trackers' public contracts down to what Furrow uses, so that a clean clone can test against them.

    python -m tests.data.contracts.reduce DIRECTORY-OF-THE-WHOLE-CONTRACTS

What is left out can only make the tests stricter: a request that is valid here is valid under the whole contract.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    get_named_type,
    parse,
    type_from_ast,
    validate,
    visit,
)

from trackers.linear import queries as linear

HERE = Path(__file__).parent
LINEAR, JIRA = "linear.schema.graphql", "jira-cloud-v3.openapi.json"
REDUCED_LINEAR, REDUCED_JIRA = HERE / "linear.graphql", HERE / "jira-cloud-v3.json"
# The operations of Jira Cloud that trackers/jira uses.
OPERATIONS = (
    ("post", "/rest/api/3/issue"),
    ("get", "/rest/api/3/issue/createmeta/{projectIdOrKey}/issuetypes"),
    ("get", "/rest/api/3/issue/createmeta/{projectIdOrKey}/issuetypes/{issueTypeId}"),
    ("get", "/rest/api/3/issue/{issueIdOrKey}"),
    ("put", "/rest/api/3/issue/{issueIdOrKey}"),
    ("post", "/rest/api/3/issueLink"),
    ("post", "/rest/api/3/search/jql"),
    ("post", "/rest/api/3/changelog/bulkfetch"),
    ("get", "/rest/api/3/issue/{issueIdOrKey}/comment"),
    ("post", "/rest/api/3/issue/{issueIdOrKey}/comment"),
    ("get", "/rest/api/3/issue/{issueIdOrKey}/transitions"),
    ("post", "/rest/api/3/issue/{issueIdOrKey}/transitions"),
)
_BUILT_IN = {"Int", "Float", "String", "Boolean", "ID"}


class _Use(Visitor):
    """The fields, arguments and input fields that documents name."""

    def __init__(self, schema: GraphQLSchema, info: TypeInfo) -> None:
        super().__init__()
        self.schema, self.info = schema, info
        self.fields: dict[str, set[str]] = {}
        self.arguments: set[tuple[str, str, str]] = set()
        self.inputs: dict[str, set[str]] = {}

    def enter_field(self, node: Any, *_: Any) -> None:
        parent = self.info.get_parent_type()
        assert parent is not None
        self.fields.setdefault(parent.name, set()).add(node.name.value)
        for argument in node.arguments or ():
            self.arguments.add((parent.name, node.name.value, argument.name.value))

    def enter_object_field(self, node: Any, *_: Any) -> None:
        parent = get_named_type(self.info.get_parent_input_type())
        assert parent is not None
        self.inputs.setdefault(parent.name, set()).add(node.name.value)

    def enter_variable_definition(self, node: Any, *_: Any) -> None:
        type_ = get_named_type(type_from_ast(self.schema, node.type))
        if isinstance(type_, GraphQLInputObjectType):
            # What a variable holds is seen at run time alone: everything in it that leads no further.
            simple = {name for name, one in type_.fields.items() if _is_simple(get_named_type(one.type))}
            self.inputs.setdefault(type_.name, set()).update(simple)


def reduced_linear(whole: str) -> str:
    """The part of Linear's schema that the documents of ``trackers.linear`` use."""
    schema = build_schema(whole)
    info = TypeInfo(schema)
    use = _Use(schema, info)
    for document in linear.DOCUMENTS:
        tree = parse(document)
        if errors := validate(schema, tree):
            raise SystemExit(f"{errors[0]}")
        visit(tree, TypeInfoVisitor(info, use))
    texts: dict[str, str] = {}
    waiting = [*use.fields]
    while waiting:
        name = waiting.pop()
        if name in texts or name in _BUILT_IN:
            continue
        texts[name], needed = _definition(schema.type_map[name], use)
        waiting += needed
    return "\n\n".join(texts[name] for name in sorted(texts)) + "\n"


def _definition(type_: GraphQLNamedType, use: _Use) -> tuple[str, list[str]]:
    if isinstance(type_, GraphQLScalarType):
        return f"scalar {type_.name}", []
    if isinstance(type_, GraphQLEnumType):
        return f"enum {type_.name} {{ {' '.join(type_.values)} }}", []
    needed: list[str] = []
    lines = []
    if isinstance(type_, GraphQLInputObjectType):
        for name, one in type_.fields.items():
            inner = get_named_type(one.type)
            used = name in use.inputs.get(type_.name, ()) or str(one.type).endswith("!") or _is_leaf(type_, inner)
            if used:
                lines.append(f"  {name}: {one.type}")
                needed.append(inner.name)
        return f"input {type_.name} {{\n" + "\n".join(lines) + "\n}", needed
    assert isinstance(type_, GraphQLObjectType)
    for name in sorted(use.fields[type_.name]):
        field = type_.fields[name]
        arguments = [
            f"{key}: {one.type}"
            for key, one in field.args.items()
            if (type_.name, name, key) in use.arguments or str(one.type).endswith("!")
        ]
        needed += [
            get_named_type(one.type).name for key, one in field.args.items() if f"{key}: {one.type}" in arguments
        ]
        needed.append(get_named_type(field.type).name)
        lines.append(f"  {name}{'(' + ', '.join(arguments) + ')' if arguments else ''}: {field.type}")
    return f"type {type_.name} {{\n" + "\n".join(lines) + "\n}", needed


def _is_leaf(parent: GraphQLInputObjectType, inner: GraphQLNamedType) -> bool:
    """Whether a field of a comparator leads nowhere: comparators are kept whole."""
    return parent.name.endswith("Comparator") and isinstance(inner, GraphQLScalarType | GraphQLEnumType)


def _is_simple(type_: GraphQLNamedType) -> bool:
    if isinstance(type_, GraphQLInputObjectType):
        return all(isinstance(get_named_type(one.type), GraphQLScalarType) for one in type_.fields.values())
    return True


def reduced_jira(whole: str) -> str:
    """The operations of Jira Cloud that ``trackers.jira`` uses, with the schemas that they need."""
    contract = json.loads(whole)
    operations = {f"{method} {path}": _operation(contract["paths"][path][method]) for method, path in OPERATIONS}
    schemas: dict[str, Any] = {}
    waiting = list(_references(operations))
    while waiting:
        name = waiting.pop()
        if name not in schemas:
            schemas[name] = _bare(contract["components"]["schemas"][name])
            waiting += _references(schemas[name])
    kept = {"operations": operations, "components": {"schemas": dict(sorted(schemas.items()))}}
    return json.dumps(kept, indent=1, ensure_ascii=False) + "\n"


def _operation(operation: Any) -> Any:
    parameters = [
        {"name": one["name"], "in": one["in"], "required": one.get("required", False), "schema": _bare(one["schema"])}
        for one in operation.get("parameters", ())
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    answers = {
        status: _bare(answer["content"]["application/json"].get("schema", {}))
        for status, answer in operation["responses"].items()
        if status.startswith("2") and "application/json" in answer.get("content", {})
    }
    return {"parameters": parameters, "body": _bare(body), "answers": answers}


# Keywords that constrain nothing.
_TALK = {"description", "example", "examples", "xml", "title", "readOnly", "writeOnly", "externalDocs", "deprecated"}


def _bare(schema: Any, *, names: bool = False) -> Any:
    """A schema without its prose; ``names``: the keys are names of properties, not keywords."""
    if isinstance(schema, list):
        return [_bare(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _bare(value, names=not names and key == "properties")
        for key, value in schema.items()
        if names or (key not in _TALK and not key.startswith("x-"))
    }


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rpartition("/")[2]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def main(directory: Path) -> None:
    """Write both."""
    REDUCED_LINEAR.write_text(reduced_linear((directory / LINEAR).read_text(encoding="utf-8")), encoding="utf-8")
    REDUCED_JIRA.write_text(reduced_jira((directory / JIRA).read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
