"""The validator itself: what it must refuse."""

import unittest

from tests.support.openapi import Document, Mismatch

DOCUMENT = {
    "paths": {"/things/{id}": {"get": {"responses": {
        "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}, "204": {}}}}},
    "components": {"schemas": {
        "Thing": {"type": "object", "additionalProperties": False, "required": ["id", "at"], "properties": {
            "id": {"type": "string"}, "at": {"type": "string", "format": "date-time"},
            "count": {"type": ["integer", "null"]}, "kind": {"type": "string", "enum": ["a", "b"]},
            "tags": {"type": "array", "items": {"type": "string"}}, "inner": {"$ref": "#/components/schemas/Inner"}}},
        "Inner": {"type": "object", "properties": {"x": {"type": "boolean"}}, "additionalProperties": False},
        "Unknown": {"type": "string", "minLength": 3}}}}
GOOD = {"id": "x", "at": "2026-01-02T03:04:05Z", "count": None, "kind": "a", "tags": ["t"], "inner": {"x": True}}
JSON = {"content-type": "application/json"}


class Validator(unittest.TestCase):
    document = Document(DOCUMENT)

    def answer(self, status=200, headers=JSON, data=b"{}", target="/things/1"):
        self.document.check_answer("GET", target, status, headers, data)

    def test_takes_what_the_document_says(self):
        self.document.check_value({"$ref": "#/components/schemas/Thing"}, GOOD)
        self.document.check_value({"$ref": "#/components/schemas/Thing"}, {"id": "x", "at": "2026-01-02T03:04:05.123Z"})
        self.answer(204, {}, b"")

    def test_refuses_everything_else(self):
        for change in ({"more": 1}, {"id": None}, {"id": 1}, {"count": True}, {"count": 1.5}, {"count": "1"}, {"kind": "c"},
                       {"tags": [1]}, {"tags": "t"}, {"inner": {"x": 1}}, {"inner": {"y": True}}, {"inner": None},
                       {"at": "yesterday"}, {"at": "2026-13-02T03:04:05Z"}):
            with self.assertRaises((Mismatch, ValueError), msg=str(change)):
                self.document.check_value({"$ref": "#/components/schemas/Thing"}, {**GOOD, **change})
        with self.assertRaises(Mismatch):
            self.document.check_value({"$ref": "#/components/schemas/Thing"}, {"id": "x"})

    def test_refuses_answers_outside_the_document(self):
        for named in ({"status": 201}, {"headers": {"content-type": "text/html"}}, {"headers": {}}, {"data": b"[]"},
                      {"status": 204, "data": b"x"}, {"status": 200, "target": "/nothing"}):
            with self.assertRaises(Mismatch, msg=str(named)):
                self.answer(**named)

    def test_refuses_a_document_with_keywords_it_does_not_check(self):
        with self.assertRaises(Mismatch):
            self.document.check_value({"$ref": "#/components/schemas/Unknown"}, "abc")


if __name__ == "__main__":
    unittest.main()
