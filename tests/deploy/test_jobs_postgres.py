"""Jobs of several pods: the components for a shared store, with every overlay, and what scales on its queue."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import promql_parser
import pytest
import yaml

from api.settings import Settings
from tests.support.kustomize import Resource, build
from tests.support.manifests import DEPLOY, KUBERNETES, OVERLAYS, of_kind, selects

SECRET = "xcube-jobs"


def with_components(folder: Path, overlay: str, *components: str) -> list[Resource]:
    """An overlay with more components, as docs/deploy.md says."""
    shutil.copytree(DEPLOY, folder / "deploy")
    place = folder / "deploy/overlays" / overlay
    file = place / "kustomization.yaml"
    spec = yaml.safe_load(file.read_text())
    spec.setdefault("components", []).extend(f"../../components/{name}" for name in components)
    file.write_text(yaml.safe_dump(spec))
    return build(place)


def server(resources: list[Resource]) -> dict[str, Any]:
    """The pod that answers clients."""
    (deployment,) = [each for each in of_kind(resources, "Deployment") if each["metadata"]["name"] == "xcube"]
    spec: dict[str, Any] = deployment["spec"]["template"]
    return spec


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_takes_a_shared_store(tmp_path: Path, overlay: str) -> None:
    before = build(DEPLOY / "overlays" / overlay)
    resources = with_components(tmp_path, overlay, "jobs-postgres")
    for resource in resources:
        if resource["kind"] not in ("ScaledObject", "ServiceMonitor", "PrometheusRule"):
            kubernetes_validate.validate(resource, KUBERNETES, strict=True)
    (container,) = server(resources)["spec"]["containers"]
    variables = {variable["name"]: variable for variable in container["env"]}
    assert len(variables) == len(container["env"])
    for name in ("XCUBE_JOBS_URL", "XCUBE_RESULTS_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        source = variables.pop(name)["valueFrom"]["secretKeyRef"]
        assert source["name"] == SECRET
        assert source.get("optional", False) is name.startswith("AWS_"), "without an address no pod starts"
    (old,) = server(before)["spec"]["containers"]
    assert variables == {variable["name"]: variable for variable in old["env"]}, "nothing else has changed"
    (service,) = [each for each in of_kind(resources, "Service") if each["metadata"]["name"] == "xcube"]
    assert service["spec"]["sessionAffinity"] == "None"
    assert not any("replicas" in deployment["spec"] for deployment in of_kind(resources, "Deployment"))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_with_a_shared_store_reach_it_and_what_they_reached_before(tmp_path: Path, overlay: str) -> None:
    resources = with_components(tmp_path, overlay, "jobs-postgres")
    labels = server(resources)["metadata"]["labels"]
    policies = {
        policy["metadata"]["name"]: policy["spec"]
        for policy in of_kind(resources, "NetworkPolicy")
        if selects(policy["spec"]["podSelector"]["matchLabels"], labels)
    }
    added = policies.pop(SECRET)
    assert added["policyTypes"] == ["Egress"], "who may come in is not this policy's"
    assert {port["port"] for rule in added["egress"] for port in rule["ports"]} == {53, 443, 5432}
    assert policies == {
        policy["metadata"]["name"]: policy["spec"]
        for policy in of_kind(build(DEPLOY / "overlays" / overlay), "NetworkPolicy")
        if selects(policy["spec"]["podSelector"]["matchLabels"], labels)
    }


@pytest.mark.parametrize("overlay", ["gpu", "split"])
def test_keda_scales_on_jobs_too_and_as_before_on_requests(tmp_path: Path, overlay: str) -> None:
    (before,) = of_kind(build(DEPLOY / "overlays" / overlay), "ScaledObject")
    (scaler,) = of_kind(with_components(tmp_path, overlay, "jobs-postgres", "keda-jobs"), "ScaledObject")
    schema = json.loads((Path(__file__).parent / "schemas/scaledobject.json").read_text())
    jsonschema.validate(scaler, schema)
    requests, jobs = scaler["spec"].pop("triggers")
    assert [requests] == before["spec"].pop("triggers")
    assert scaler == before
    promql_parser.parse(jobs["metadata"]["query"])
    assert "max(xcube_jobs_waiting{" in jobs["metadata"]["query"], "every pod tells the whole queue"
    assert 'max(xcube_jobs{namespace="xcube", state="in_progress"})' in jobs["metadata"]["query"]


def test_the_base_keeps_its_jobs_in_each_pod() -> None:
    for overlay in OVERLAYS:
        (container,) = server(build(DEPLOY / "overlays" / overlay))["spec"]["containers"]
        assert not {variable["name"] for variable in container["env"]} & {"XCUBE_JOBS_URL", "XCUBE_RESULTS_URL"}
    assert Settings().jobs_url is None
