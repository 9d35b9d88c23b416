# SPDX-License-Identifier: Apache-2.0
"""Judges an OpenAPI document, and exchanges by it. Run by t/http/openapi.t.

usage: openapi.py STRUCTURE < lines

STRUCTURE is the JSON Schema of a document. The first line of stdin is the
document, each other one an exchange: {id, method, path, status, type, answer}
and, for a request that was accepted, {sent: [media type, text]}. Written is
one JSON text a line: [name, [fault, ...]].
"""
import json
import sys

try:
    from jsonschema import Draft202012Validator
except ImportError:
    print("SKIP: there is no jsonschema for this interpreter")
    sys.exit(0)

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def tell(name, faults):
    print(json.dumps([name, [str(fault)[:600] for fault in faults]]))


def errors(schema, value):
    validator = Draft202012Validator(schema)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
            for error in validator.iter_errors(value)]


class Document:
    def __init__(self, text):
        self.root = json.loads(text, object_pairs_hook=self.unique)
        self.doubles = getattr(self, "doubles", [])

    def unique(self, pairs):
        names = [name for name, _ in pairs]
        self.doubles = getattr(self, "doubles", [])
        self.doubles += {name for name in names if names.count(name) > 1}
        return dict(pairs)

    def find(self, reference):
        """The object that a reference names; KeyError: there is none."""
        value = self.root
        for step in reference.removeprefix("#/").split("/"):
            value = value[step.replace("~1", "/").replace("~0", "~")]
        return value

    def follow(self, value):
        while "$ref" in value:
            value = self.find(value["$ref"])
        return value

    def schema(self, schema):
        """Standing alone: its references need the components beside it."""
        return {"allOf": [schema], "components": self.root["components"]}

    def operations(self):
        for path, item in self.root["paths"].items():
            item = self.follow(item)
            for method in METHODS:
                if method in item:
                    yield path, method, item[method]

    def operation(self, path, method):
        """None when there is no such path; any of it, when no such method."""
        found = {m: o for p, m, o in self.operations() if p == path}
        return found.get(method) or next(iter(found.values()), None)


def walk(value, visit, path=""):
    visit(path, value)
    items = value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list) else ())
    for key, inner in items:
        walk(inner, visit, f"{path}/{key}")


def media_types(document):
    """(name, media type object) of all requests and answers."""
    for path, method, operation in document.operations():
        body = operation.get("requestBody", {"content": {}})
        for media, found in document.follow(body)["content"].items():
            yield f"{method} {path} {media}", found
        for status, answer in operation["responses"].items():
            content = document.follow(answer).get("content", {})
            for media, found in content.items():
                yield f"{method} {path} {status}", found


def check_references(document):
    used = set()
    faults = []

    def visit(path, value):
        if isinstance(value, dict) and isinstance(value.get("$ref"), str):
            used.add(value["$ref"])
            try:
                document.find(value["$ref"])
            except (KeyError, TypeError):
                faults.append(f"{path}: {value['$ref']} is not there")

    walk(document.root, visit)
    for kind, components in document.root["components"].items():
        for name in components:
            if f"#/components/{kind}/{name}" not in used:
                faults.append(f"components/{kind}/{name} is not used")
    return faults


def check_schemas(document):
    faults = []
    schemas = [(name, media["schema"]) for name, media in media_types(document)]
    schemas += document.root["components"]["schemas"].items()
    for name, schema in schemas:
        try:
            Draft202012Validator.check_schema(schema)
        except Exception as error:
            faults.append(f"{name}: {error}")
    return faults


def check_examples(document):
    faults = []
    count = 0
    for name, media in media_types(document):
        examples = [media["example"]] if "example" in media else []
        examples += [e["value"] for e in media.get("examples", {}).values()]
        count += len(examples)
        for example in examples:
            faults += [f"{name}: {error}" for error in
                       errors(document.schema(media["schema"]), example)]
    return faults if count else ["there are no examples"]


def check_operations(document):
    names = [o.get("operationId") for _, _, o in document.operations()]
    names = [name for name in names if name is not None]
    faults = [f"operationId {name} is there twice"
              for name in set(names) if names.count(name) > 1]
    for path, method, operation in document.operations():
        if "200" not in operation["responses"]:
            faults.append(f"{method} {path} has no 200")
    return faults


def judge(document, exchange):
    operation = document.operation(exchange["path"],
                                   exchange["method"].lower())
    if operation is None:
        return [f"the path {exchange['path']} is not described"]
    answer = operation["responses"].get(str(exchange["status"]))
    if answer is None:
        return [f"the status {exchange['status']} is not described"]
    content = document.follow(answer).get("content", {})
    if exchange["type"] not in content:
        return [f"the media type {exchange['type']} is not described"]
    faults = errors(document.schema(content[exchange["type"]]["schema"]),
                    json.loads(exchange["answer"]))
    if "sent" in exchange:
        media, text = exchange["sent"]
        content = document.follow(operation["requestBody"])["content"]
        faults += ["accepted, although " + fault for fault in errors(
            document.schema(content[media]["schema"]), json.loads(text))]
    return faults


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        structure = json.load(file)
    document = Document(sys.stdin.readline())
    tell("the document has no member twice", document.doubles)
    tell("the document has the structure of OpenAPI 3.1",
         errors(structure, document.root))
    tell("every reference leads somewhere, every component is used",
         check_references(document))
    tell("every schema is one", check_schemas(document))
    tell("every example is one", check_examples(document))
    tell("every operation is complete", check_operations(document))
    for line in sys.stdin:
        exchange = json.loads(line)
        tell(exchange["id"], judge(document, exchange))


main()
