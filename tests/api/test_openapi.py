"""The OpenAPI document: whole, valid, and able to describe whatever types there are."""

from __future__ import annotations

import re
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from tests.api.conftest import Api, NewApi
from treadle.api.operations import OPERATIONS
from treadle.web import problems
from treadle.web.problems import Kind

pytestmark = pytest.mark.only_on("sqlite", reason="no store is asked")


async def document(api: Api) -> dict[str, Any]:
    answer = await api.client.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    found: dict[str, Any] = answer.json()
    return found


async def test_every_door_is_described_with_the_statuses_its_guard_adds(api: Api) -> None:
    told = await document(api)
    assert OPERATIONS.keys() == {(door.method, door.path) for door in api.doors}
    described = {(method.upper(), path) for path, methods in told["paths"].items() for method in methods}
    assert described == OPERATIONS.keys()
    for door in api.doors:
        operation = told["paths"][door.path][door.method.lower()]
        statuses = operation["responses"].keys()
        assert ("401" in statuses) == (door.guard != "public"), door
        assert ("403" in statuses) == (door.guard == "admin" and door.method == "POST"), door
        assert {"400", "408", "414", "421", "431"} <= statuses
        assert "500" not in statuses
        assert {found["name"] for found in operation["parameters"] if found["in"] == "path"} == set(
            re.findall(r"{(\w+)}", door.path)
        )


async def test_every_kind_of_refusal_but_a_bug_is_some_operations(api: Api) -> None:
    told = await document(api)
    statuses = {
        int(status)
        for methods in told["paths"].values()
        for operation in methods.values()
        for status in operation["responses"]
    }
    made = {kind.status for kind in vars(problems).values() if isinstance(kind, Kind)}
    assert made - {405, 500} <= statuses


async def test_every_schema_is_one_and_every_reference_leads_somewhere(api: Api) -> None:
    told = await document(api)
    for schema in told["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
    for reference in re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', msgspec.json.encode(told).decode()):
        assert reference in told["components"]["schemas"]


async def test_it_is_behind_the_same_key_as_what_it_describes(new_api: NewApi) -> None:
    api = await new_api({"TREADLE_API_KEYS": "tk_0123456789abcdef"})
    assert (await api.client.get("/openapi.json")).status_code == 401


async def test_the_example_of_every_type_is_taken_as_it_stands(api: Api) -> None:
    told = await document(api)
    examples = told["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert examples.keys() == {"GREET"}
    answer = await api.client.post("/jobs", json=examples["GREET"]["value"])
    assert answer.status_code == 201, answer.text
