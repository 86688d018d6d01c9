"""Both balancers with TLS: Mozilla's intermediate guideline, what the plain port says, certificates that change."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from app.operation import MAX_BODY
from stacks.balancer import HEALTH_PATH, BalancerError, Kind
from stacks.edge import PROBE
from stacks.ports import BALANCER_HEALTH
from stacks.programs import Program, find
from stacks.tls import CIPHERSUITES, HSTS_SECONDS
from tests.stacks.backends import free_port, refusing
from tests.stacks.certificates import Algorithm, issue, trusting
from tests.stacks.front import Front, before, front, raw, secured, spares_connections, until

SSLYZE: Final = Path(sys.prefix, "checkers", "bin", "sslyze")
HSTS: Final = "Strict-Transport-Security"


@pytest.fixture(params=["nginx", "haproxy"])
def program(request: pytest.FixtureRequest) -> Program:
    kind: Kind = request.param
    return find(kind)


@pytest.mark.parametrize("algorithm", ["ecdsa", "rsa"])
async def test_it_meets_mozillas_intermediate_guideline(program: Program, tmp_path: Path, algorithm: Algorithm) -> None:
    async with front(program, tmp_path, 1, describe=secured, algorithm=algorithm) as made:
        report = await asyncio.to_thread(sslyze, made.running.port, tmp_path)
        assert set(suites(report, "tls_1_3_cipher_suites")) == set(CIPHERSUITES)
        assert suites(report, "tls_1_2_cipher_suites") == {
            f"TLS_ECDHE_{algorithm.upper()}_WITH_{what}"
            for what in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256")
        }
        for old in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
            assert suites(report, f"{old}_cipher_suites") == set()
        assert {one["name"] for one in report["elliptic_curves"]["result"]["supported_curves"]} == {
            "X25519",
            "secp256r1",
            "secp384r1",
        }
        resumption = report["session_resumption"]["result"]
        assert resumption["tls_ticket_resumption_result"] == "NOT_SUPPORTED"
        assert not report["tls_1_3_early_data"]["result"]["supports_early_data"]


def sslyze(port: int, directory: Path) -> Any:  # noqa: ANN401 - its JSON
    """What it found; it fails when the guideline is not met, path validation by the test's own authority included."""
    if not SSLYZE.exists():
        pytest.skip("sslyze is not installed: make setup")
    done = subprocess.run(
        [
            str(SSLYZE),
            "--mozilla_config=intermediate",
            "--resum",
            "--early_data",
            f"--certinfo_ca_file={directory / 'authority.crt'}",
            f"--json_out={directory / 'sslyze.json'}",
            "--sni=localhost",
            f"127.0.0.1:{port}",
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK - Compliant" in done.stdout
    return json.loads((directory / "sslyze.json").read_text())["server_scan_results"][0]["scan_result"]


def suites(report: Any, version: str) -> set[str]:  # noqa: ANN401 - its JSON
    return {one["cipher_suite"]["name"] for one in report[version]["result"]["accepted_cipher_suites"]}


async def test_every_answer_with_tls_says_that_there_is_nothing_without(program: Program, tmp_path: Path) -> None:
    async with front(program, tmp_path, 1, describe=secured) as made:
        for method, path, data, expected in (
            ("GET", "/x", b"", 200),
            ("GET", "/metrics", b"", 404),
            ("TRACE", "/x", b"", 405),
            ("POST", "/x", b"x" * (MAX_BODY + 1), 413),
        ):
            async with made.session.request(method, made.running.url + path, data=data) as answer:
                assert (answer.status, answer.headers[HSTS]) == (expected, f"max-age={HSTS_SECONDS}")
        async with made.session.get(made.running.plain + "/x", allow_redirects=False) as answer:
            assert HSTS not in answer.headers
    with refusing() as port:
        async with (
            before(program, secured([port]), tmp_path) as made,
            made.session.get(made.running.url + "/x") as answer,
        ):
            assert (answer.status, answer.headers[HSTS]) == (503, f"max-age={HSTS_SECONDS}")
            assert answer.headers["Retry-After"] == "1"


async def test_the_header_can_be_left_away(program: Program, tmp_path: Path) -> None:
    model = secured([free_port()])
    assert model.tls is not None
    tls = type(model.tls)(port=model.tls.port, hostname="localhost", hsts_seconds=0)
    async with (
        front(program, tmp_path, 1, describe=secured, tls=tls) as made,
        made.session.get(made.running.url + "/x") as answer,
    ):
        assert (answer.status, HSTS in answer.headers) == (200, False)


async def test_a_browser_is_sent_to_tls_and_nowhere_else(program: Program, tmp_path: Path) -> None:
    async with front(program, tmp_path, 1, describe=secured) as made:
        port = made.running.port
        for method in ("GET", "HEAD"):
            for path in ("/", "/api/orders?limit=1&x=a%26b", "//elsewhere.example/x"):
                async with made.session.request(
                    method, made.running.plain + path, allow_redirects=False, headers={"Host": "elsewhere.example"}
                ) as answer:
                    assert answer.status == 308
                    assert answer.headers["Location"] == f"https://localhost:{port}{path}"
        status, _ = await raw(
            made.running.model.port,
            "GET http://elsewhere.example/x HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n\r\n",
        )
        assert status == 308
        assert made.seen() == {}


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {}),
        ("DELETE", {}),
        ("OPTIONS", {}),
        ("GET", {"X-API-Key": "secret"}),
        ("GET", {"Authorization": "Bearer secret"}),
        ("HEAD", {"Cookie": "veloz_session=secret"}),
        ("POST", {"X-API-Key": "secret"}),
    ],
)
async def test_what_brings_a_key_without_tls_or_changes_something_is_refused(
    program: Program, tmp_path: Path, method: str, headers: dict[str, str]
) -> None:
    """A redirect would be followed in silence, and the key sent in the clear for ever."""
    async with front(program, tmp_path, 1, describe=secured) as made:
        async with made.session.request(
            method, made.running.plain + "/api/order", headers=headers, allow_redirects=False
        ) as answer:
            assert answer.status == 403
            if method != "HEAD":
                said = await answer.json()
                assert (said["ok"], said["error"]) == (False, "forbidden")
                assert "https" in said["message"]
        assert made.seen() == {}


async def test_what_is_no_tls_does_not_pass_the_secure_port(program: Program, tmp_path: Path) -> None:
    async with front(program, tmp_path, 1, describe=secured) as made:
        status, _ = await raw(made.running.port, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert status == (400 if program.kind == "nginx" else 0)
        assert made.seen() == {}


async def test_gateways_learn_that_the_client_has_tls(program: Program, tmp_path: Path) -> None:
    async with front(program, tmp_path, 1, describe=secured) as made:
        _, said = await made.ask("GET", "/x", headers={"X-Forwarded-Proto": "http"})
        assert said["scheme"] == ["https"]


async def test_clients_that_know_http_2_are_served_with_1_1(program: Program, tmp_path: Path) -> None:
    async with front(program, tmp_path, 1, describe=secured) as made:
        context = trusting(tmp_path / "authority.crt")
        context.set_alpn_protocols(["h2", "http/1.1"])
        _, writer = await asyncio.open_connection("127.0.0.1", made.running.port, ssl=context)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        await hang_up(writer)


@pytest.mark.parametrize("stage", ["nothing", "handshake", "head"])
async def test_a_client_that_stops_at_any_stage_is_cut_off(program: Program, tmp_path: Path, stage: str) -> None:
    async with front(program, tmp_path, 1, describe=secured, header_timeout=1.0, stream_stall=30.0) as made:
        port = made.running.port
        if stage == "head":
            context = trusting(tmp_path / "authority.crt")
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"" if stage == "nothing" else b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        try:
            said = await asyncio.wait_for(reader.read(), 4)
        except ConnectionResetError:
            said = b""
        finally:
            writer.close()
        assert not said or b" 408 " in said.split(b"\r\n")[0]


async def test_a_certificate_is_replaced_without_a_failed_request(program: Program, tmp_path: Path) -> None:
    """New connections get the new one; those that were there go on."""
    spares_connections(program)
    later = tmp_path / "later"
    later.mkdir()
    issue(later)
    async with front(program, tmp_path, describe=secured, shutdown_timeout=2.0) as made:
        first, second = tmp_path / "authority.crt", later / "authority.crt"
        assert (await serves(made, first), await serves(made, second)) == (True, False)
        both = trusting(first)
        both.load_verify_locations(second)
        ended = False
        statuses: Counter[int] = Counter()

        async def client(number: int) -> None:
            while not ended:
                headers = {"Connection": "close"} if number % 2 else {}
                async with made.session.post(made.running.url + "/api/order", headers=headers, ssl=both) as answer:
                    statuses[answer.status] += 1

        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(client(number))
            await until(lambda: statuses[200] > 100, 20)
            for name in ("tls.crt", "tls.key"):
                shutil.copy(later / name, tmp_path / name)
            program.configure(made.running.model, tmp_path)
            old = made.running.workers()
            made.running.reload()
            await until(lambda: not old & made.running.workers(), 20)
            served = statuses[200]
            await until(lambda: statuses[200] > served + 100, 20)
            ended = True
        assert set(statuses) == {200}
        assert (await serves(made, first), await serves(made, second)) == (False, True)


async def serves(made: Front, authority: Path) -> bool:
    """Whether a new connection gets a certificate of this authority."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", made.running.port, ssl=trusting(authority))
    except ssl.SSLCertVerificationError:
        return False
    await hang_up(writer)
    return True


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):  # the other side's last words were on their way
        await writer.wait_closed()


def test_a_key_that_is_not_the_certificates_is_refused(program: Program, tmp_path: Path) -> None:
    issue(tmp_path)
    certificate = (tmp_path / "tls.crt").read_bytes()
    issue(tmp_path)
    (tmp_path / "tls.crt").write_bytes(certificate)
    with pytest.raises(BalancerError, match="refuses"):
        program.configure(secured([free_port()]), tmp_path)


async def test_who_watches_it_has_a_listener_that_knows_one_path(program: Program, tmp_path: Path) -> None:
    """It answers though no gateway does, and Docker's health check reads it."""
    with refusing() as nobody:
        async with before(program, secured([nobody]), tmp_path) as made:
            health = made.running.model.health
            assert health is not None
            url = f"http://{health.address}"
            async with made.session.get(url + HEALTH_PATH) as answer:
                assert (answer.status, await answer.json()) == (200, {"ok": True})
            async with made.session.get(url + "/api/orders") as answer:
                assert answer.status == 404
            assert (await made.ask("GET", HEALTH_PATH))[0] == 503
            for port, expected in ((health.port, 0), (nobody, 1)):
                command = [word.replace(str(BALANCER_HEALTH), str(port)) for word in PROBE]
                child = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
                assert await asyncio.wait_for(child.wait(), 5) == expected
