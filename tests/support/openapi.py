"""Holds answers of a server to its OpenAPI document. Knows the part of JSON Schema that the document uses, and
refuses a document that uses more: a keyword that is not looked at would promise something nobody checks."""

import datetime
import json
import re

KNOWN = {"type", "format", "properties", "required", "additionalProperties", "items", "enum", "$ref"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


class Mismatch(AssertionError):
    pass


def is_type(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def check_time(value, at):
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value):
        raise Mismatch(f"{at}: not a time: {value!r}")
    datetime.datetime.strptime(value[:19], "%Y-%m-%dT%H:%M:%S")


class Document:
    def __init__(self, document):
        self.document = document
        self.seen = set()  # (method, path of the document, status) of every answer checked
        self.paths = []
        for path, operations in document["paths"].items():
            # A variable at the end of a TUF path takes slashes too.
            pattern = re.sub(r"\\\{path\\\}$", ".+", re.escape(path))
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", pattern)
            self.paths.append((re.compile(pattern), path, operations))
        # Fixed paths before those with variables.
        self.paths.sort(key=lambda entry: entry[1].count("{"))

    def resolve(self, schema):
        while "$ref" in schema:
            if set(schema) != {"$ref"}:
                raise Mismatch(f"a reference with neighbours: {schema}")
            at = self.document
            for step in schema["$ref"].removeprefix("#/").split("/"):
                at = at[step]
            schema = at
        return schema

    def check_value(self, schema, value, at="$"):
        schema = self.resolve(schema)
        if unknown := set(schema) - KNOWN:
            raise Mismatch(f"{at}: the document uses keywords that this validator does not know: {sorted(unknown)}")
        if "type" in schema:
            names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            if not any(is_type(value, name) for name in names):
                raise Mismatch(f"{at}: want {' or '.join(names)}, got {json.dumps(value)[:80]}")
        if value is None:
            return
        if "enum" in schema and value not in schema["enum"]:
            raise Mismatch(f"{at}: {value!r} is none of {schema['enum']}")
        if schema.get("format") == "date-time":
            check_time(value, at)
        if isinstance(value, dict):
            properties = schema.get("properties", {})
            for name in schema.get("required", []):
                if name not in value:
                    raise Mismatch(f"{at}: {name} is missing")
            for name, member in value.items():
                if name in properties:
                    self.check_value(properties[name], member, f"{at}.{name}")
                elif schema.get("additionalProperties") is False:
                    raise Mismatch(f"{at}: {name} is not in the document")
        if isinstance(value, list) and "items" in schema:
            for i, item in enumerate(value):
                self.check_value(schema["items"], item, f"{at}[{i}]")

    def operation(self, method, target):
        """(path of the document, operation), or None where the document knows nothing."""
        path = target.split("?")[0]
        for pattern, name, operations in self.paths:
            if pattern.fullmatch(path) and method.lower() in operations:
                return name, operations[method.lower()]
        return None

    def check_answer(self, method, target, status, headers, data):
        """Raises Mismatch when the document does not know this answer."""
        where = f"{method} {target} {status}"
        media = headers.get("content-type", "").split(";")[0]
        found = self.operation(method, target)
        if found is None:  # nothing there: 404 or 405
            responses = {str(status): {"content": {"application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"}}}}} if status in (404, 405) else {}
        else:
            responses = found[1]["responses"]
            self.seen.add((method, found[0], status))
        if str(status) not in responses:
            raise Mismatch(f"{where}: the status is not in the document")
        content = responses[str(status)].get("content")
        if content is None:
            if data:
                raise Mismatch(f"{where}: a body where the document has none")
            return
        if media not in content:
            raise Mismatch(f"{where}: {media!r} is none of {sorted(content)}")
        if "schema" in content[media]:
            try:
                self.check_value(content[media]["schema"], json.loads(data))
            except Mismatch as error:
                raise Mismatch(f"{where}: {error}") from None
