"""Dashboard, autoscaler and compose file: queries that Prometheus understands, on the metrics of the service."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from api.environment import name_of
from api.settings import Settings
from tests.support.series import TARGET_LABELS, collectors, series

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy/compose"
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/xcube.json").read_text())


def dashboard_queries() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def scaler_query() -> str:
    scaler = yaml.safe_load((ROOT / "deploy/components/keda/scaledobject.yaml").read_text())
    return str(scaler["spec"]["triggers"][0]["metadata"]["query"])


QUERIES = [*dashboard_queries(), ("autoscaler", scaler_query())]


def filled_in(query: str) -> str:
    """A query as Grafana sends it."""
    return query.replace("$__rate_interval", "1m").replace("$instance", ".*")


@pytest.mark.parametrize(("place", "query"), QUERIES, ids=[f"{i}-{place}" for i, (place, _) in enumerate(QUERIES)])
def test_a_query_is_promql_on_metrics_of_the_service(place: str, query: str) -> None:
    promql_parser.parse(filled_in(query))
    known = series()
    used = set(re.findall(r"xcube_\w+", query))
    assert used
    assert used <= set(known), place
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")}
    assert grouped <= TARGET_LABELS.union(*(known[name] for name in used)), place
    for name in used:
        if name.endswith(("_total", "_bucket", "_sum", "_count")):
            assert re.search(rf"(rate|increase)\({name}\{{", query), f"{place}: {name} only grows"


def test_every_metric_is_on_the_dashboard() -> None:
    text = " ".join(query for _, query in dashboard_queries())
    names = {collector.describe()[0].name for collector in collectors()}
    assert len(names) > 10
    assert {name for name in names if name not in text} == set()


def test_panels_have_descriptions_ids_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        if panel["type"] != "row":
            assert panel["description"]
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


class ComposeLoader(yaml.SafeLoader):
    """YAML with compose's `!reset`."""


ComposeLoader.add_constructor("!reset", lambda loader, node: "reset")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load((COMPOSE / "compose.yaml").read_text(), ComposeLoader)
    return loaded


def test_composes_mounts_exist_and_volumes_networks_are_declared(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert set(service["networks"]) <= set(compose["networks"])
        for volume in service["volumes"]:
            source, target, *mode = volume.split(":")
            if source.startswith("."):
                assert (COMPOSE / source).exists(), source
                assert mode == ["ro"], target
            else:
                assert source in compose["volumes"]
        assert re.search(r":(-[\w./-]+:)?v?\d+\.\d+\.\d+}?$", service["image"]), "a version, not latest"


def test_composes_service_is_hardened_and_drains(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    service = compose["services"]["xcube"]
    assert service["read_only"] is True
    drain = default_of(service["environment"]["XCUBE_DRAIN_SECONDS"])
    assert int(default_of(service["stop_grace_period"]).removesuffix("s")) >= int(drain) + 30
    assert default_of(service["command"][-1]) == drain
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


def default_of(value: str) -> str:
    """What compose takes where a variable is not set."""
    match = re.fullmatch(r"\$\{\w+:-(.+)\}", value)
    assert match is not None, value
    return match[1]


def test_compose_passes_on_every_setting_of_the_service(compose: dict[str, Any]) -> None:
    environment = compose["services"]["xcube"]["environment"]
    bucket = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert set(environment) - bucket == {name_of(field) for field in set(Settings.model_fields) - {"host", "port"}}
    for name, value in environment.items():  # without a value, the one of the caller
        assert value is None or value.startswith(f"${{{name}:"), name


def test_compose_opens_no_port_without_a_key(compose: dict[str, Any]) -> None:
    assert compose["services"]["xcube"]["environment"]["XCUBE_API_KEY"].startswith("${XCUBE_API_KEY:?")


def test_every_container_of_compose_has_limits(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["mem_limit"], name
        assert service["pids_limit"] > 0, name


def test_only_the_service_is_open_to_others(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:") or name == "xcube", f"{name}: {port}"


def test_prometheus_and_grafana_find_each_other(compose: dict[str, Any]) -> None:
    (job,) = yaml.safe_load((COMPOSE / "prometheus.yml").read_text())["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["xcube:8000"]}]
    (source,) = yaml.safe_load((COMPOSE / "grafana/provisioning/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((COMPOSE / "grafana/provisioning/dashboards/xcube.yaml").read_text())["providers"]
    mounted = {volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]}
    assert f"{provider['options']['path']}/xcube.json" in mounted


def test_the_cpu_file_changes_the_service_alone() -> None:
    cpu = yaml.load((COMPOSE / "cpu.yaml").read_text(), ComposeLoader)["services"]
    assert set(cpu) == {"xcube"}
    assert {name: default_of(value) for name, value in cpu["xcube"]["environment"].items()} == {"XCUBE_DEVICE": "cpu"}
    assert cpu["xcube"]["deploy"] == "reset"
