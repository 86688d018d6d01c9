"""The watch script in the images of nginx and HAProxy: another user, a read-only root, no capability."""

from __future__ import annotations

import shutil
import time
import urllib.request
from pathlib import Path

import pytest

from stacks.images.context import ROOT
from tests.e2e.docker_host import docker, inspect
from tests.e2e.place import HARDENED, base, had, image, logs, missing, place

REASON = missing()
pytestmark = [pytest.mark.skipif(bool(REASON), reason=REASON), pytest.mark.timeout(300), pytest.mark.alone]
SMALL = {
    "nginx": (
        "nginx.conf",
        (
            "pid nginx.pid; daemon off; error_log stderr warn; events {} http { access_log off;"
            " client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;"
            ' scgi_temp_path scgi; server { listen 8080; location / { return 200 "WORD"; } } }\n'
        ),
    ),
    "haproxy": (
        "haproxy.cfg",
        (
            "defaults\n mode http\n timeout client 5s\n timeout connect 5s\n timeout server 5s\nfrontend all\n bind :8080\n"
            ' http-request return status 200 content-type text/plain string "WORD"\n'
        ),
    ),
}


@pytest.mark.parametrize(
    ("kind", "user", "stop"), [("nginx", "101", "SIGQUIT"), ("haproxy", "99", "SIGUSR1"), ("haproxy", "99", "SIGTERM")]
)
def test_a_balancer_of_another_image_reads_what_changed_and_nothing_broken(
    kind: str, user: str, stop: str, tmp_path: Path
) -> None:
    had(kind)
    name, text = SMALL[kind]
    config = tmp_path / "config"
    config.mkdir()
    shutil.copy(ROOT / "stacks/images/watch.sh", config / "watch.sh")
    (config / name).write_text(text.replace("WORD", "one"))
    with place() as here:
        container = here.run(
            kind, image(kind), *HARDENED, "--user", f"{user}:{user}", "--stop-signal", stop,
            "--tmpfs", f"/run/balancer:rw,noexec,nosuid,nodev,mode=0700,uid={user}",
            "--volume", f"{config}:/etc/veloz/balancer:ro", "--publish", "127.0.0.1::8080", "--entrypoint", "sh",
            command=("/etc/veloz/balancer/watch.sh", kind),
        )  # fmt: skip
        says(container, "one")
        (config / name).write_text("broken {\n")
        logged(container, "fails the test above; what runs goes on")
        (config / name).write_text(text.replace("WORD", "two"))
        says(container, "two")
        started = time.monotonic()
        docker("stop", "--time", "20", container)
        assert time.monotonic() - started < 10
        assert inspect(container)["State"]["ExitCode"] != 137


def says(container: str, word: str) -> None:
    deadline = time.monotonic() + 30
    said = ""
    while said != word:
        assert time.monotonic() < deadline, f"it says {said!r}, not {word!r}"
        try:
            with urllib.request.urlopen(base(container, 8080), timeout=2) as answer:
                said = answer.read().decode()
        except OSError:
            time.sleep(0.1)


def logged(container: str, words: str) -> None:
    deadline = time.monotonic() + 30
    while words not in logs(container):
        assert time.monotonic() < deadline, logs(container)
        time.sleep(0.1)
