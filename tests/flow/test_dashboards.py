"""The dashboard and the alert rules in deploy/ speak of figures that a running server tells, with labels they have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.flow.conftest import NewStack
from tests.flow.stack import Stack
from treadle.telemetry.metrics import Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
OF_PROMETHEUS = {"instance", "job"}
"""Labels that the scraper adds."""
SUFFIXES = ("_bucket", "_count", "_sum")


def alerts() -> dict[str, dict[str, Any]]:
    document = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))
    return {rule["alert"]: rule for group in document["groups"] for rule in group["rules"]}


def dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads((DEPLOY / "grafana" / "treadle.json").read_text("utf-8"))
    return board


def expressions() -> Iterator[tuple[str, str]]:
    for name, rule in alerts().items():
        yield name, rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")


@dataclass
class Use:
    """What an expression says of one metric."""

    name: str
    labels: set[str]


def uses(text: str) -> list[Use]:
    """Every metric in an expression, with the labels that it, and every grouping around it, speaks of."""
    found: list[Use] = []
    _collect(promql_parser.parse(text), set(), found)
    return found


def _collect(node: Any, around: set[str], found: list[Use]) -> None:
    match node:
        case promql_parser.VectorSelector():
            matched = {matcher.name for matcher in node.matchers.matchers}
            assert node.name is not None
            found.append(Use(node.name, around | matched))
        case promql_parser.MatrixSelector():
            _collect(node.vector_selector, around, found)
        case promql_parser.AggregateExpr():
            grouped = set(node.modifier.labels) if node.modifier is not None else set()
            _collect(node.expr, around | grouped, found)
        case promql_parser.BinaryExpr():
            matching = node.modifier.matching if node.modifier is not None else None
            joined = set(matching.labels) if matching is not None else set()
            _collect(node.lhs, around | joined, found)
            _collect(node.rhs, around | joined, found)
        case promql_parser.Call():
            for argument in node.args:
                _collect(argument, around, found)
        case promql_parser.ParenExpr():
            _collect(node.expr, around, found)
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            pass
        case _:
            raise AssertionError(f"teach this test about {type(node).__name__}")


def test_the_reader_of_expressions_sees_names_groupings_and_matchers() -> None:
    found = uses('sum by (a) (rate(x_total{b="1"}[5m])) / on (a) (max by (a, c) (y) > 0) unless z')
    assert [(use.name, use.labels) for use in found] == [("x_total", {"a", "b"}), ("y", {"a", "c"}), ("z", set())]


@pytest.fixture
def busy(new_stack: NewStack) -> Stack:
    """A server of whose every room something has been asked."""
    stack = new_stack()
    stack.start("dev")
    stack.finish(stack.submit("CSV_EXPORT", {"data": []}))
    stack.client.post("/jobs", content=b"{")
    return stack


@pytest.mark.only_on("sqlite", reason="what is told does not depend on the rung")
def test_every_figure_and_label_is_told_by_a_running_server(busy: Stack) -> None:
    families = list(text_string_to_metric_families(httpx.get(f"{busy.url}/metrics", timeout=30).text))
    told: dict[str, set[str]] = {}
    for family in families:
        for sample in family.samples:
            told.setdefault(sample.name, set()).update(sample.labels)
    # What has not happened yet (an error of the store) is told by name alone; its labels are the meter's.
    for meter in Metrics().all:
        if not any(name.startswith(meter.name) for name in told):
            assert meter.name.removesuffix("_total") in {family.name for family in families}
            told[meter.name] = set(meter.labels)

    wrong = [
        f"{where}: {use.name} {sorted(use.labels - told.get(use.name, set()) - OF_PROMETHEUS)}"
        for where, expression in expressions()
        for use in uses(expression)
        if not use.labels <= told.get(use.name, set()) | OF_PROMETHEUS or use.name not in told
    ]

    assert wrong == []


def test_every_figure_of_the_dashboards_variables_exists() -> None:
    labels = {meter.name: meter.labels for meter in Metrics().all}
    queries = [v["query"]["query"] for v in dashboard()["templating"]["list"] if v["type"] == "query"]
    assert len(queries) == 2
    for query in queries:
        name, label = query.removeprefix("label_values(").removesuffix(")").split(", ")
        assert label in labels[name]


def test_panels_have_their_own_numbers_and_places() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_every_alert_is_told_of_in_the_docs() -> None:
    page = (DEPLOY.parent / "docs" / "operate" / "watch.md").read_text("utf-8")
    rules = alerts()
    assert len(rules) >= 10
    for name, rule in rules.items():
        assert f"`{name}`" in page, name
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["annotations"]["summary"]
