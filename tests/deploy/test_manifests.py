"""The manifests in deploy/: valid by their schemas, consistent with each other and with the service, and hardened."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from api.environment import PREFIX
from api.settings import Settings
from tests.support.kustomize import Resource, build, key
from tests.support.manifests import DEPLOY, KUBERNETES, OVERLAYS, of_kind, selects
from tests.support.paths import ROOT

UID = 1034
CUSTOM = {
    "ScaledObject": "scaledobject.json",
    "ServiceMonitor": "servicemonitor.json",
    "PrometheusRule": "prometheusrule.json",
}
# Not in the manifests on purpose: whoever deploys makes them (docs/deploy.md).
MADE_BY_HAND = {
    ("PersistentVolumeClaim", "xcube-models"),
    ("Secret", "xcube-sampler"),
    ("Secret", "xcube-api-key"),
    ("ConfigMap", "xcube-settings"),
}


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> list[Resource]:
    return build(DEPLOY / "overlays" / request.param)


def pods(resources: list[Resource]) -> list[dict[str, Any]]:
    """Pod templates of all Deployments."""
    return [deployment["spec"]["template"] for deployment in of_kind(resources, "Deployment")]


# Schemas


def test_every_resource_is_valid_by_its_schema(overlay: list[Resource]) -> None:
    for resource in overlay:
        if resource["kind"] in CUSTOM:
            schema = json.loads((Path(__file__).parent / "schemas" / CUSTOM[resource["kind"]]).read_text())
            jsonschema.validate(resource, schema)
        else:
            kubernetes_validate.validate(resource, KUBERNETES, strict=True)


def test_a_misspelt_field_is_found() -> None:
    (deployment,) = of_kind(build(DEPLOY / "base"), "Deployment")
    deployment["spec"]["template"]["spec"]["terminationGracePeriod"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES, strict=True)


def test_the_autoscalers_behaviour_is_one_of_kubernetes() -> None:
    """KEDA passes it on to a HorizontalPodAutoscaler, whose schema is at hand."""
    hpa = yaml.safe_load((DEPLOY / "components/hpa/horizontalpodautoscaler.yaml").read_text())
    keda = yaml.safe_load((DEPLOY / "components/keda/scaledobject.yaml").read_text())
    kubernetes_validate.validate(hpa, KUBERNETES, strict=True)
    hpa["spec"]["behavior"] = keda["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    kubernetes_validate.validate(hpa, KUBERNETES, strict=True)


def test_the_hpa_takes_kedas_place(tmp_path: Path) -> None:
    """What docs/deploy.md says for a cluster without KEDA: another component in the overlay."""
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    overlay = tmp_path / "deploy/overlays/gpu"
    file = overlay / "kustomization.yaml"
    text = file.read_text()
    assert "components/keda" in text
    file.write_text(text.replace("components/keda", "components/hpa"))
    resources = build(overlay)
    (scaler,) = of_kind(resources, "HorizontalPodAutoscaler")
    assert of_kind(resources, "ScaledObject") == []
    target = scaler["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) in {key(resource) for resource in resources}
    kubernetes_validate.validate(scaler, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_renders_the_same(name: str) -> None:
    folder = DEPLOY / "overlays" / name
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=True)
    theirs = {key(resource): resource for resource in yaml.safe_load_all(done.stdout)}
    assert theirs == {key(resource): resource for resource in build(folder)}


# Names and labels fit together


def test_selectors_find_pods_and_their_ports(overlay: list[Resource]) -> None:
    templates = pods(overlay)
    for deployment in of_kind(overlay, "Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert selects(deployment["spec"]["selector"]["matchLabels"], labels)
        others = [pod for pod in templates if pod is not deployment["spec"]["template"]]
        assert not any(selects(deployment["spec"]["selector"]["matchLabels"], o["metadata"]["labels"]) for o in others)
    for service in of_kind(overlay, "Service"):
        (pod,) = [pod for pod in templates if selects(service["spec"]["selector"], pod["metadata"]["labels"])]
        named = {port["name"] for container in pod["spec"]["containers"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named


def test_every_pod_has_a_policy_and_a_budget(overlay: list[Resource]) -> None:
    for pod in pods(overlay):
        labels = pod["metadata"]["labels"]
        policies = [
            p for p in of_kind(overlay, "NetworkPolicy") if selects(p["spec"]["podSelector"]["matchLabels"], labels)
        ]
        budgets = [
            b for b in of_kind(overlay, "PodDisruptionBudget") if selects(b["spec"]["selector"]["matchLabels"], labels)
        ]
        assert len(policies) == len(budgets) == 1
        assert sorted(policies[0]["spec"]["policyTypes"]) == ["Egress", "Ingress"]


def test_what_is_referred_to_exists(overlay: list[Resource]) -> None:
    names = {key(resource) for resource in overlay} | MADE_BY_HAND
    for pod in pods(overlay):
        assert ("ServiceAccount", pod["spec"]["serviceAccountName"]) in names
        for volume in pod["spec"]["volumes"]:
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in names
        for container in pod["spec"]["containers"]:
            for source in container["envFrom"]:
                assert ("ConfigMap", source["configMapRef"]["name"]) in names
                assert source["configMapRef"]["optional"] is True
            for variable in container["env"]:
                if "valueFrom" in variable:
                    assert ("Secret", variable["valueFrom"]["secretKeyRef"]["name"]) in names
            volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    for scaler in of_kind(overlay, "ScaledObject") + of_kind(overlay, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) in names


def test_one_autoscaler_a_deployment_and_no_fixed_number(overlay: list[Resource]) -> None:
    scalers = of_kind(overlay, "ScaledObject") + of_kind(overlay, "HorizontalPodAutoscaler")
    targets = [scaler["spec"]["scaleTargetRef"]["name"] for scaler in scalers]
    assert len(targets) == len(set(targets))
    assert not any("replicas" in deployment["spec"] for deployment in of_kind(overlay, "Deployment"))


def test_prometheus_finds_the_service() -> None:
    resources = build(DEPLOY / "overlays/gpu")
    (monitor,) = of_kind(resources, "ServiceMonitor")
    found = [
        service
        for service in of_kind(resources, "Service")
        if selects(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"])
    ]
    assert found
    assert all(monitor["spec"]["endpoints"][0]["port"] in {p["name"] for p in s["spec"]["ports"]} for s in found)
    (policy,) = of_kind(resources, "NetworkPolicy")
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}} in policy["spec"][
        "ingress"
    ][0]["from"]


# What runs is what the settings know and what was built


def test_environment_variables_are_settings_with_valid_values(overlay: list[Resource]) -> None:
    for pod in pods(overlay):
        for container in pod["spec"]["containers"]:
            names = [variable["name"] for variable in container["env"]]
            assert len(names) == len(set(names))
            values = {v["name"].removeprefix(PREFIX).lower(): v.get("value", "secret") for v in container["env"]}
            assert set(values) <= set(Settings.model_fields)
            assert "api_key_everywhere" not in values, "a kubelet's probes have no key"
            Settings(**values)  # raises where a value is not valid


def test_images_have_the_version_of_the_project(overlay: list[Resource]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for pod in pods(overlay):
        for container in pod["spec"]["containers"]:
            name, tag = container["image"].rsplit(":", 1)
            gpu = "nvidia.com/gpu" in container["resources"]["limits"]
            assert name.endswith("/xcube-serve" if gpu else "/xcube-serve-cpu")
            assert tag == version


def test_a_pod_outlives_the_longest_drain(overlay: list[Resource]) -> None:
    """Sleep before SIGTERM, then running requests, then the end of the processes, all before SIGKILL."""
    for pod in pods(overlay):
        for container in pod["spec"]["containers"]:
            environment = {variable["name"]: variable.get("value") for variable in container["env"]}
            drain = int(environment[f"{PREFIX}DRAIN_SECONDS"])
            flag = container["args"].index("--timeout-graceful-shutdown")
            sleep = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
            assert drain == int(container["args"][flag + 1])
            assert drain >= Settings().deadline_seconds, "a request that has begun may end"
            assert pod["spec"]["terminationGracePeriodSeconds"] >= sleep + drain + 30


def test_probes_do_not_kill_a_pod_that_loads_models(overlay: list[Resource]) -> None:
    for pod in pods(overlay):
        for container in pod["spec"]["containers"]:
            paths = {
                probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")
            }
            assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
            startup = container["startupProbe"]
            assert startup["periodSeconds"] * startup["failureThreshold"] >= 120
            liveness = container["livenessProbe"]
            assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 30


# Hardening


def test_pods_keep_to_the_restricted_profile(overlay: list[Resource]) -> None:
    """Kubernetes' Pod Security Standard `restricted`, which the namespace enforces, and a read-only root on top."""
    (namespace,) = of_kind(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in pods(overlay):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == UID
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert all(set(v) - {"name"} <= {"emptyDir", "persistentVolumeClaim"} for v in spec["volumes"])
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "privileged": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            resources = container["resources"]
            assert {"cpu", "memory", "ephemeral-storage"} <= set(resources["requests"])
            assert {"memory", "ephemeral-storage"} <= set(resources["limits"])


def test_models_are_read_only_and_scratch_is_bounded(overlay: list[Resource]) -> None:
    for pod in pods(overlay):
        kinds = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for container in pod["spec"]["containers"]:
            for mount in container["volumeMounts"]:
                volume = kinds[mount["name"]]
                if "emptyDir" in volume:
                    assert volume["emptyDir"]["sizeLimit"]
                else:
                    assert mount["readOnly"] is volume["persistentVolumeClaim"]["readOnly"] is True


def test_nothing_goes_out_but_to_the_samplers() -> None:
    for name in OVERLAYS:
        for policy in of_kind(build(DEPLOY / "overlays" / name), "NetworkPolicy"):
            if (name, policy["metadata"]["name"]) != ("split", "xcube"):
                assert policy["spec"]["egress"] == []
                continue
            samplers, dns = policy["spec"]["egress"]
            assert samplers["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "sampler"
            assert {port["port"] for port in dns["ports"]} == {53}


def test_no_secret_is_written_down() -> None:
    for path in DEPLOY.rglob("*.yaml"):
        assert "kind: Secret\n" not in path.read_text(), path


# Two tiers


def test_samplers_are_entry_services_behind_a_policy() -> None:
    resources = build(DEPLOY / "overlays/split")
    deployments = {deployment["metadata"]["name"]: deployment for deployment in of_kind(resources, "Deployment")}
    (sampler,) = deployments["xcube-sampler"]["spec"]["template"]["spec"]["containers"]
    (server,) = deployments["xcube"]["spec"]["template"]["spec"]["containers"]
    assert sampler["args"][:3] == ["bentoml", "serve", "service:Sampler"]
    assert sampler["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "nvidia.com/gpu" not in server["resources"]["limits"]
    environment = {variable["name"]: variable for variable in server["env"]}
    (service,) = [s for s in of_kind(resources, "Service") if s["metadata"]["name"] == "xcube-sampler"]
    port = service["spec"]["ports"][0]["port"]
    assert service["spec"]["clusterIP"] == "None", "its name has an address for each Sampler"
    assert port == sampler["ports"][0]["containerPort"], "a headless Service maps no ports"
    assert environment[f"{PREFIX}SAMPLER_URL"]["value"] == f"http://xcube-sampler:{port}"
    secrets = [
        next(variable["valueFrom"] for variable in container["env"] if variable["name"] == f"{PREFIX}SAMPLER_TOKEN")
        for container in (server, sampler)
    ]
    assert secrets[0] == secrets[1]
    (policy,) = [p for p in of_kind(resources, "NetworkPolicy") if p["metadata"]["name"] == "xcube-sampler"]
    components = [
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for peer in policy["spec"]["ingress"][0]["from"]
        if "podSelector" in peer
    ]
    assert components == ["server"]


def test_waiting_requests_scale_what_they_wait_for() -> None:
    targets = {}
    for name in ("gpu", "split"):
        (scaler,) = of_kind(build(DEPLOY / "overlays" / name), "ScaledObject")
        targets[name] = scaler["spec"]["scaleTargetRef"]["name"]
        assert "xcube_requests_waiting" in scaler["spec"]["triggers"][0]["metadata"]["query"]
    assert targets == {"gpu": "xcube", "split": "xcube-sampler"}
