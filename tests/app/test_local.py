import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app.embedded import POSTGRES_SETTINGS
from app.local import api_key_file
from app.local_options import MOST_GATEWAYS, LocalError, market_variables, postgres_settings, reached_at

ROOT = Path(__file__).resolve().parents[2]


def veloz(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_key_is_256_bit_readable_by_its_owner_only_and_kept(tmp_path: Path) -> None:
    path = api_key_file(tmp_path)
    key = path.read_text().strip()
    assert len(bytes.fromhex(key)) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert api_key_file(tmp_path).read_text().strip() == key


def test_two_directories_have_different_keys(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert api_key_file(tmp_path).read_text() != api_key_file(tmp_path / "other").read_text()


def test_a_key_half_written_by_an_interrupted_run_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "api_key.new").write_text("12")
    assert len(api_key_file(tmp_path).read_text().strip()) == 64


def test_a_replay_names_existing_files_absolutely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("trades.csv", "quotes.csv"):
        (tmp_path / name).write_text("")
    assert market_variables("replay:trades.csv,quotes.csv", 2.5) == {
        "VELOZ_MARKET_SOURCE": "replay",
        "VELOZ_REPLAY_FILE": f"{tmp_path}/trades.csv,{tmp_path}/quotes.csv",
        "VELOZ_REPLAY_SPEED": "2.5",
    }


@pytest.mark.parametrize("market", ["replay", "replay:", "live", "sim:fast"])
def test_an_unknown_market_is_refused_with_the_choices(market: str) -> None:
    with pytest.raises(LocalError, match="must be sim, or replay:FILE"):
        market_variables(market, 1)


def test_postgresql_has_room_for_the_gateways_and_one_that_is_replaced() -> None:
    assert postgres_settings(1, {}) == {"max_connections": POSTGRES_SETTINGS["max_connections"]}
    for gateways in range(1, MOST_GATEWAYS + 1):
        room = int(postgres_settings(gateways, {})["max_connections"])
        assert room >= (gateways + 1) * 14
    assert int(postgres_settings(2, {"VELOZ_POSTGRES_POOL_MAX": "40"})["max_connections"]) == 3 * 46


def test_gateways_that_need_more_connections_than_there_are_are_refused_with_the_remedy() -> None:
    with pytest.raises(LocalError) as refusal:
        postgres_settings(8, {"VELOZ_POSTGRES_POOL_MAX": "20"})
    assert str(refusal.value) == (
        "--gateways 8: with VELOZ_POSTGRES_POOL_MAX=20 they need 234 connections to PostgreSQL, of which there are "
        "200 at most here. Choose fewer gateways, or a smaller pool."
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--market", "replay:missing.csv"], "there is no readable file"),
        (["--balancer", "haproxy"], "--balancer haproxy: one gateway has none. Choose --gateways 2 or more."),
        (["--gateways", "2", "--market", f"replay:{__file__}"], "would each play it from its own start"),
        (["--data-dir", "/dev/null/data"], "Not a directory"),
        (["--host", "here"], "--host here: must be an address of this machine. Write e.g. 127.0.0.1"),
        (["--host", "192.0.2.1"], "on 192.0.2.1 cannot be used: Cannot assign requested address"),
    ],
)
def test_a_users_mistake_is_one_paragraph_without_traceback(
    arguments: list[str], words: str, tmp_path: Path, free_port: int
) -> None:
    result = veloz("local", "--port", str(free_port), *arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("veloz: ")
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / ".veloz").exists()


def test_a_given_engine_that_is_none_is_refused_before_anything_starts(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VELOZ_ENGINE", str(tmp_path / "engine"))
    result = veloz("local", "--port", str(free_port), cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == (
        f"veloz: VELOZ_ENGINE {tmp_path}/engine: there is no program. Correct the path, or leave it out to build the engine.\n"
    )
    assert not (tmp_path / ".veloz").exists()


@pytest.mark.parametrize(
    ("host", "reached"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("2001:db8::1", "[2001:db8::1]")],  # noqa: S104
)
def test_this_machine_reaches_itself_where_it_listens(host: str, reached: str) -> None:
    assert reached_at(host) == reached


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = veloz("local", "--port", str(port), cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == (
        f"veloz: Port {port} on 127.0.0.1 cannot be used: Address already in use. Choose another with --port.\n"
    )
    assert not (tmp_path / ".veloz").exists()


def test_help_names_every_option_without_colour_in_a_pipe(tmp_path: Path) -> None:
    result = veloz("local", "--help", cwd=tmp_path)
    assert result.returncode == 0
    assert all(
        option in result.stdout
        for option in (
            "--market",
            "--data-dir",
            "--port",
            "--host",
            "--speed",
            "--gateways",
            "--balancer",
            "--api-key-file",
            "--logs",
        )
    )
    assert "\x1b" not in result.stdout
