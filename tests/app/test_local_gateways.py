"""How several gateways are started, named, watched and stopped; small servers stand in for them."""

import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import local_gateways
from app.child import ChildError
from app.local_gateways import Gateways
from app.local_options import HOST

GATEWAY = """
import http.server, json, os, signal, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({k: v for k, v in os.environ.items() if k.startswith("VELOZ_")}).encode())
    def log_message(self, *_): pass
def leave(*_):
    print("leaving", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, leave)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["VELOZ_PORT"])), Answer).serve_forever()
"""
VARIABLES = {"VELOZ_CLUSTER_SECRET_FILE": "/secret"}


@pytest.fixture
def gateways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateways]:
    monkeypatch.setattr(local_gateways, "COMMAND", (sys.executable, "-c", GATEWAY))
    monkeypatch.setenv("VELOZ_GATEWAY_ID", "of-the-user")
    monkeypatch.setenv("VELOZ_CLUSTER_SECRET", "of-the-user")
    with Gateways(tmp_path, VARIABLES, 3, 1) as several:
        yield several


def environment(url: str) -> dict[str, str]:
    with urllib.request.urlopen(url + "/health/ready", timeout=5) as answer:
        found: dict[str, str] = json.load(answer)
        return found


def test_each_has_a_name_and_an_address_of_its_own_and_believes_the_balancer(gateways: Gateways) -> None:
    for number, place in enumerate(gateways.places, 1):
        assert environment(place.url) == {
            "VELOZ_HOST": "127.0.0.1",
            "VELOZ_PORT": str(place.port),
            "VELOZ_GATEWAY_ID": f"gateway-{number}",
            "VELOZ_ADVERTISE_URL": place.url,
            "VELOZ_TRUSTED_PROXIES": "127.0.0.1",
            **VARIABLES,
        }
    assert len({place.port for place in gateways.places}) == 3


def test_one_that_ends_is_started_again_where_it_was(gateways: Gateways) -> None:
    victim, place = gateways.children[1], gateways.places[1]
    os.kill(victim.process.pid, signal.SIGKILL)
    victim.process.wait()
    gateways.restart(victim)
    again = gateways.children[1]
    assert again.process.pid != victim.process.pid
    local_gateways.await_answer(again, HOST, place.port)
    assert environment(place.url)["VELOZ_GATEWAY_ID"] == "gateway-2"


def test_one_that_ends_right_after_that_is_not_started_once_more(gateways: Gateways) -> None:
    gateways.children[0].process.kill()
    gateways.restart(gateways.children[0])
    victim = gateways.children[0]
    victim.process.kill()
    with pytest.raises(
        ChildError, match=r"The gateway gateway-1 ended by itself with status -9; its log is .*/gateway-1"
    ):
        gateways.restart(victim)


def test_all_are_told_to_leave_at_once_and_only_once(gateways: Gateways, tmp_path: Path) -> None:
    """A gateway that is told twice leaves without waiting."""
    gateways.__exit__()
    gateways.__exit__()
    assert [child.process.returncode for child in gateways.children] == [0, 0, 0]
    assert [(tmp_path / f"gateway-{number}.log").read_text() for number in (1, 2, 3)] == ["leaving\n"] * 3


def test_one_that_cannot_start_ends_the_others_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = GATEWAY.replace(
        "class Answer", "if os.environ['VELOZ_GATEWAY_ID'] == 'gateway-2': sys.exit('FATAL no')\nclass Answer", 1
    )
    monkeypatch.setattr(local_gateways, "COMMAND", (sys.executable, "-c", broken))
    several = Gateways(tmp_path, VARIABLES, 3, 1)
    started = time.monotonic()
    with pytest.raises(ChildError, match="The gateway gateway-2 ended with status 1: FATAL no"), several:
        pytest.fail("it must not be entered")
    assert time.monotonic() - started < 30
    assert all(child.process.returncode is not None for child in several.children)
