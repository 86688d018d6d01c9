"""Labels out of a real registry, with and without a login; and out of one that answers what none should.

The first need `docker-registry` (Debian's package), the docker command and a daemon, and are skipped without.
"""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from stacks.commands import docker_facts, image_labels, registry
from stacks.commands.image_labels import Said
from stacks.commands.registry import Unsaid
from stacks.document import load
from stacks.images.recipe import SCHEMA_LABEL
from stacks.registry_login import Login, login
from tests.stacks.commands import registries
from tests.stacks.commands.registries import PASSWORD, USER, Registry, built, pushed

LABELS = {SCHEMA_LABEL: "1", "io.veloz.other": "x"}
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No login but a test's own."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path / "none"))


@pytest.fixture(params=["open", "closed"])
def real(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    if why := registries.missing():
        pytest.skip(why)
    with registries.running(tmp_path, closed=request.param == "closed") as running:
        monkeypatch.setenv("DOCKER_CONFIG", str(running.config))
        yield running


def test_an_image_that_is_on_no_host_says_its_labels(real: Registry) -> None:
    image = pushed(real, LABELS)
    found = registry.labels(image)
    assert {name: found[name] for name in LABELS} == LABELS
    for topology in ("compose", "kubernetes"):
        said = image_labels.read(image, load({"topology": topology, **edge(topology)}), {})
        assert said.number(SCHEMA_LABEL) == 1


def test_the_pre_flight_finds_an_image_behind_a_login(real: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = load({"topology": "compose", "images": {"veloz": pushed(real, LABELS)}})
    assert spec.images.veloz in docker_facts.read(spec, {}).in_registry
    if json.loads((real.config / "config.json").read_text())["auths"]:
        monkeypatch.setenv("DOCKER_CONFIG", str(real.config / "none"))
        assert spec.images.veloz not in docker_facts.read(spec, {}).in_registry


def test_without_its_login_a_closed_registry_says_nothing_and_we_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why := registries.missing():
        pytest.skip(why)
    with registries.running(tmp_path, closed=True) as closed:
        image = pushed(closed, LABELS)
        with pytest.raises(Unsaid, match="wants a login, and has nobody: docker login it"):
            registry.labels(image)
        (closed.config / "config.json").write_text(json.dumps({"auths": {closed.place: {"auth": "eDp5"}}}))
        monkeypatch.setenv("DOCKER_CONFIG", str(closed.config))
        with pytest.raises(Unsaid, match="answers 401"):
            registry.labels(image)


def test_an_image_that_the_registry_has_not_is_unknown(real: Registry) -> None:
    with pytest.raises(Unsaid, match="answers 404"):
        registry.labels(real.image())


def test_what_is_on_the_docker_host_is_read_there_and_a_cluster_takes_it_elsewhere(free_port: int) -> None:
    if why := registries.missing():
        pytest.skip(why)
    with built(f"127.0.0.1:{free_port}/veloz:1.0.0-here", LABELS) as image:
        said = image_labels.read(image, load({"topology": "compose"}), {})
        assert said.number(SCHEMA_LABEL) == 1
        there = image_labels.read(image, load({"topology": "kubernetes", **edge("kubernetes")}), {})
        assert there.labels is None
        assert "gives no answer" in there.why
        assert docker_facts.labels(load({"topology": "compose"}), {}, image + "-none") is None


def test_what_was_never_pushed_is_asked_of_no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_facts, "labels", lambda *_: None)
    said = image_labels.read("veloz:0.1.0-x", load({"topology": "single"}), {}, pushed=False)
    assert said == Said(None, "it is not on the Docker host")


@pytest.mark.parametrize(
    ("text", "number"), [("2", 2), ("0", None), ("", None), ("x", None), ("²", None), ("-1", None)]
)
def test_a_label_is_a_number_or_nothing(text: str, number: int | None) -> None:
    assert Said({SCHEMA_LABEL: text}).number(SCHEMA_LABEL) == number
    assert Said({}).number(SCHEMA_LABEL) is None
    assert Said(None).number(SCHEMA_LABEL) is None


# Credentials


def test_a_helper_of_the_docker_command_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "docker-credential-test"
    program.write_text(
        "#!/bin/sh\nread -r server\n"
        '[ "$1 $server" = "get here.example" ] || { echo credentials not found in native keychain; exit 1; }\n'
        'echo \'{"ServerURL":"here.example","Username":"u","Secret":"s"}\'\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for how in ({"credHelpers": {"here.example": "test"}}, {"credsStore": "test"}):
        (tmp_path / "config.json").write_text(json.dumps(how))
        assert login("here.example/veloz:1") == Login("u", "s", helped=True)
        assert login("there.example/veloz:1") is None
    assert repr(Login("u", "s", "t")) == "Login()"
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {"here.example": "absent"}}))
    with pytest.raises(Unsaid, match=r"credentials cannot be read.*docker-credential-absent not installed"):
        registry.labels("here.example/veloz:1")


# Registries that answer otherwise


class _Answers(BaseHTTPRequestHandler):
    """`pages`: path → (content type, body); `wants`: the Authorization without which it sends to /token."""

    pages: Mapping[str, tuple[str, bytes]] = {}
    wants = ""
    seen: list[str]

    def do_GET(self) -> None:
        told = self.headers.get("Authorization", "")
        self.seen.append(f"{self.path} {told}".strip())
        path = urlsplit(self.path).path
        if path == "/token":
            self._say(200, "application/json", b'{"token":"T"}')
        elif self.wants and told != self.wants:
            realm = f'Bearer realm="http://{self.headers["Host"]}/token",service="s",scope="x"'
            self._say(401, "text/plain", b"", realm)
        elif path in self.pages:
            self._say(200, *self.pages[path])
        else:
            self._say(404, "text/plain", b"")

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.seen.append(f"{self.path} {form['grant_type'][0]} {form['refresh_token'][0]}")
        self._say(200, "application/json", b'{"access_token":"T"}')

    def _say(self, status: int, kind: str, body: bytes, challenge: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(pages: Mapping[str, tuple[str, bytes]], wants: str = "") -> Iterator[tuple[str, list[str]]]:
    """Where it is, and what it was asked."""
    seen: list[str] = []
    handler = type("Handler", (_Answers,), {"pages": pages, "wants": wants, "seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", seen
        finally:
            server.shutdown()
            thread.join()


def digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def pages(*labels: Mapping[str, str], notes: bool = False) -> dict[str, tuple[str, bytes]]:
    """An image v:1, of several platforms when there are several labels."""
    made: dict[str, tuple[str, bytes]] = {}
    manifests = []
    for number, said in enumerate(labels):
        config = json.dumps({"config": {"Labels": said}, "n": number}).encode()
        manifest = json.dumps({"mediaType": MANIFEST, "config": {"digest": digest(config)}}).encode()
        made[f"/v2/v/blobs/{digest(config)}"] = ("application/octet-stream", config)
        made[f"/v2/v/manifests/{digest(manifest)}"] = (MANIFEST, manifest)
        manifests.append({"digest": digest(manifest), "platform": {"os": "linux", "architecture": f"a{number}"}})
    if notes:
        manifests.append({"digest": digest(b"no image"), "platform": {"os": "unknown", "architecture": "unknown"}})
    whole = json.dumps({"mediaType": INDEX, "manifests": manifests}).encode()
    single = made[f"/v2/v/manifests/{manifests[0]['digest']}"]
    made["/v2/v/manifests/1"] = single if len(manifests) == 1 else (INDEX, whole)
    return made


def test_of_several_platforms_only_what_all_say_counts() -> None:
    with answering(pages(LABELS, {**LABELS, "io.veloz.other": "y"}, notes=True)) as (place, _):
        assert registry.labels(f"{place}/v:1") == {SCHEMA_LABEL: "1"}
    with answering(pages(LABELS, {**LABELS, SCHEMA_LABEL: "2"})) as (place, _):
        assert SCHEMA_LABEL not in registry.labels(f"{place}/v:1")


@pytest.mark.parametrize("known", [{"auth": "dTpw"}, {"identitytoken": "I"}, {}])
def test_a_token_is_fetched_with_the_login_that_there_is(
    known: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(pages(LABELS), "Bearer T") as (place, seen):
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        (tmp_path / "config.json").write_text(json.dumps({"auths": {place: known}}))
        assert registry.labels(f"{place}/v:1") == LABELS
    asked = {
        "auth": "/token?scope=repository%3Av%3Apull&service=s Basic dTpw",
        "identitytoken": "/token refresh_token I",
        "": "/token?scope=repository%3Av%3Apull&service=s",
    }
    assert asked[next(iter(known), "")] in seen


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"config": b'{"config":{"Labels":{"io.veloz.schema":"9"}}}'}, "gives something else for sha256"),
        ({"manifest": b"[]"}, "no document"),
        ({"manifest": b"<html>"}, "cannot be read"),
        ({"manifest": b'{"schemaVersion":1}'}, "cannot be read"),
        ({"manifest": b'{"manifests":[]}'}, "names 0 platforms"),
        ({"manifest": b" " * (4 * 1024 * 1024 + 1)}, "longer than"),
    ],
)
def test_what_is_no_image_is_said_and_raises_nothing_else(change: dict[str, bytes], why: str) -> None:
    served = pages(LABELS)
    if "manifest" in change:
        served["/v2/v/manifests/1"] = (MANIFEST, change["manifest"])
    else:
        served = {path: (kind, change["config"] if "/blobs/" in path else old) for path, (kind, old) in served.items()}
    with answering(served) as (place, _), pytest.raises(Unsaid, match=why):
        registry.labels(f"{place}/v:1")


@pytest.mark.parametrize(
    ("image", "url"),
    [
        ("nginx:1.2.3", "https://registry-1.docker.io/v2/library/nginx/manifests/1.2.3"),
        ("me/veloz:1", "https://registry-1.docker.io/v2/me/veloz/manifests/1"),
        ("ghcr.io/me/veloz@sha256:ab", "https://ghcr.io/v2/me/veloz/manifests/sha256:ab"),
        ("10.0.0.1:5000/v:1", "https://10.0.0.1:5000/v2/v/manifests/1"),
        ("localhost:5000/v:1", "http://localhost:5000/v2/v/manifests/1"),
        ("127.0.0.2/v:1", "http://127.0.0.2/v2/v/manifests/1"),
    ],
)
def test_no_registry_but_one_on_this_machine_is_asked_without_tls(image: str, url: str) -> None:
    place = registry._place(image)
    assert f"{place.url}/v2/{place.repository}/manifests/{place.reference}" == url


def edge(topology: str) -> dict[str, object]:
    return {"edge": {"hostname": "veloz.example.com"}} if topology == "kubernetes" else {}


def test_a_login_goes_to_no_place_without_tls() -> None:
    reader = registry._Reader(None, registry._place("ghcr.io/v:1"), Login(USER, PASSWORD))  # type: ignore[arg-type]
    with pytest.raises(Unsaid, match="has no TLS"):
        reader._admission('Bearer realm="http://ghcr.io/token"')
