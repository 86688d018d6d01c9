"""Services and ingresses on Kubernetes publish what the description says."""

from __future__ import annotations

from stacks import names, ports
from stacks.components.k8s.gateway import EVERY
from stacks.spec import Deployment
from tests.stacks.manifests import example, manifests, role_of, usual

# Services


def test_services_find_the_ports_of_their_pods() -> None:
    spec, declared = usual()
    for found in declared.of("Service"):
        role = role_of(found)
        assert found["spec"]["selector"] == names.selector(spec, role)  # type: ignore[arg-type]
        inside = {port["containerPort"] for port in declared.containers()[role]["ports"]}
        assert {port["targetPort"] for port in found["spec"]["ports"]} <= inside


def test_only_the_balancer_is_published() -> None:
    spec, declared = usual()
    types = {found["metadata"]["name"]: found["spec"]["type"] for found in declared.of("Service")}
    assert types.pop("veloz-balancer") == "LoadBalancer"
    assert set(types.values()) == {"ClusterIP"}
    published = declared.named("Service", "veloz-balancer")["spec"]
    assert published["externalTrafficPolicy"] == "Local"
    assert {(port["port"], port["targetPort"]) for port in published["ports"]} == {
        (spec.edge.http_port, ports.BALANCER_HTTP),
        (spec.edge.https_port, ports.BALANCER_HTTPS),
    }


def test_gateways_are_found_when_they_are_ready_and_measured_always() -> None:
    _, declared = usual()
    ready = declared.named("Service", "veloz-gateway")["spec"]
    every = declared.named("Service", EVERY)["spec"]
    assert ready["clusterIP"] == every["clusterIP"] == "None"
    assert not ready.get("publishNotReadyAddresses")
    assert every["publishNotReadyAddresses"] is True
    assert EVERY in declared.named("ConfigMap", "veloz-prometheus")["data"]["prometheus.yml"]


def test_the_balancer_is_told_of_by_the_providers_annotations() -> None:
    annotations = {"service.beta.kubernetes.io/aws-load-balancer-type": "nlb"}
    spec = example(kubernetes={"load_balancer_annotations": annotations})
    assert manifests(spec).named("Service", "veloz-balancer")["metadata"]["annotations"] == annotations


# An ingress in the balancer's place


def with_ingress(**tls: str) -> Deployment:
    return example(
        edge={"hostname": "veloz.example.com", "kind": "ingress", "tls": {"source": "issued", "issuer": "le"} | tls},
        kubernetes={"ingress_class": "nginx"},
    )


def test_an_ingress_stands_in_for_the_balancer() -> None:
    declared = manifests(with_ingress())
    assert "balancer" not in declared.pods()
    assert {found["spec"]["type"] for found in declared.of("Service")} == {"ClusterIP"}
    first = declared.named("Ingress", "veloz")
    assert first["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == "le"
    for found in declared.of("Ingress"):
        assert found["spec"]["ingressClassName"] == "nginx"
        assert found["spec"]["tls"] == [{"hosts": ["veloz.example.com"], "secretName": "veloz-tls"}]
        (rule,) = found["spec"]["rules"]
        for path in rule["http"]["paths"]:
            assert path["backend"]["service"] == {"name": "veloz-gateway-http", "port": {"number": ports.GATEWAY}}
    assert "clusterIP" not in declared.named("Service", "veloz-gateway-http")["spec"]


def test_an_ingress_lets_nobody_through_to_what_gateways_say_to_each_other() -> None:
    found = manifests(with_ingress()).of("Ingress")
    paths = {path["path"] for each in found for rule in each["spec"]["rules"] for path in rule["http"]["paths"]}
    assert paths == {"/api", "/health", "/api/stream"}


def test_a_certificate_that_is_issued_is_no_secret_of_ours() -> None:
    assert [found["metadata"]["name"] for found in manifests(with_ingress()).of("Secret")] == ["veloz-secrets"]


def test_a_certificate_that_is_provided_is() -> None:
    declared = manifests(with_ingress(source="provided", issuer=""))
    assert declared.named("Secret", "veloz-tls")["type"] == "kubernetes.io/tls"
    assert "annotations" not in declared.named("Ingress", "veloz")["metadata"] or (
        "cert-manager.io/cluster-issuer" not in declared.named("Ingress", "veloz")["metadata"]["annotations"]
    )
