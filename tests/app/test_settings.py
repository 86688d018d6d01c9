"""Settings come from the environment, completely or not at all, and every refusal says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import settings
from app.settings import Settings
from app.variables import SettingsError, check_key

NOWHERE = Path("/nonexistent/api_key")
KEY = "8f14e45fceea167a5a36dedd4bea2543c9f0f895fb98ab9159f51fd0297e236d"
GOOD = {"VELOZ_POSTGRES_DSN": "postgresql://veloz:hunter2secret@db/veloz"}


def load(**more: str) -> Settings:
    return settings.load(GOOD | {f"VELOZ_{name}": value for name, value in more.items()}, api_key_file=NOWHERE)


def refused(**more: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(**more)
    return [str(problem) for problem in caught.value.problems]


def test_the_defaults_listen_on_loopback_with_authentication_on() -> None:
    s = load()
    assert (s.host, s.port, s.auth, s.market_source) == ("127.0.0.1", 8080, True, "sim")


def test_values_are_read_as_their_types() -> None:
    s = load(
        PORT="9000", MARKET_SYMBOL="BTCUSDT, ETHUSDT", REPLAY_LOOP="yes", SIM_RATE="2.5", PAPER_BALANCES="USDT=10.5"
    )
    assert (s.port, s.market_symbol, s.replay_loop, s.sim_rate) == (9000, ("BTCUSDT", "ETHUSDT"), True, 2.5)
    assert s.balances == {"USDT": "10.5"}
    assert [(i.symbol, i.base, i.quote) for i in s.symbols] == [("BTCUSDT", "BTC", "USDT"), ("ETHUSDT", "ETH", "USDT")]


def test_a_given_instrument_replaces_the_guess() -> None:
    s = load(INSTRUMENTS="BTCUSDT/BTC/USDT/0.1/0.001")
    assert [(i.tick, i.lot) for i in s.symbols] == [("0.1", "0.001")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("PORT", "8080 "),
        ("PORT", "\uff18\uff10"),
        ("PORT", "tcp://10.0.0.1:8080"),
        ("PRESET", "debug"),
        ("AUTH", "maybe"),
        ("REPLAY_SPEED", "nan"),
        ("REPLAY_SPEED", "inf"),
        ("MARKET_SYMBOL", "BTC USDT"),
        ("MARKET_SYMBOL", ","),
        ("MARKET_SOURCE", "binance"),
        ("MARKET_SOURCE", "binance_rest"),
        ("MARKET_SOURCE", "replay"),
        ("REPLAY_FILE", "/nonexistent.csv"),
        ("EXECUTION_MODE", "binance_spot"),
        ("PAPER_BALANCES", "USDT=1e5"),
        ("PAPER_BALANCES", "USDT=-5"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("LEASE_RENEW", "9"),
        ("SESSION_IDLE", "86400"),
        ("REDIS_URL", "http://localhost"),
        ("ADMIN_PASSWORD", "admin"),
        ("STREAM_HEARTBEAT", "11"),
        ("LOG_LEVEL", "verbose"),
    ],
)
def test_a_value_against_its_rule_is_refused_by_name(name: str, value: str) -> None:
    problems = refused(**{name: value})
    assert len(problems) == 1
    assert problems[0].startswith("VELOZ_")
    assert ";" in problems[0], "a remedy is given"


def test_all_problems_are_reported_at_once() -> None:
    problems = refused(PORT="x", PRESET="x", AUTH="x", NO_SUCH="1")
    assert [p.split("=")[0].split(" ")[0] for p in problems] == [
        "VELOZ_NO_SUCH",
        "VELOZ_PORT",
        "VELOZ_PRESET",
        "VELOZ_AUTH",
    ]


def test_the_missing_database_is_named() -> None:
    with pytest.raises(SettingsError, match="VELOZ_POSTGRES_DSN is required"):
        settings.load({}, api_key_file=NOWHERE)


def test_a_misspelt_variable_is_refused_with_the_nearest_name() -> None:
    assert refused(RATE_LIMT_KEY="5") == ["VELOZ_RATE_LIMT_KEY is not a setting; did you mean VELOZ_RATE_LIMIT_KEY?"]


def test_service_links_of_kubernetes_are_no_misspelt_variables() -> None:
    load(SERVICE_HOST="10.0.0.1", REDIS_SERVICE_PORT="6379", REDIS_PORT_6379_TCP_ADDR="10.0.0.2")


def test_authentication_can_be_off_on_loopback_only() -> None:
    assert load(AUTH="off").auth is False
    assert refused(AUTH="off", HOST="0.0.0.0")[0].startswith("VELOZ_AUTH='false'")  # noqa: S104


def secret_file(folder: Path, text: str, mode: int = 0o400) -> str:
    path = folder / "key"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    assert load(API_KEY_FILE=secret_file(tmp_path, KEY + "\n")).api_key == KEY


def test_the_admin_key_comes_from_its_usual_file_when_nothing_is_given(tmp_path: Path) -> None:
    path = Path(secret_file(tmp_path, KEY))
    assert settings.load(GOOD, api_key_file=path).api_key == KEY


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    assert "is given beside VELOZ_API_KEY" in refused(API_KEY=KEY, API_KEY_FILE=secret_file(tmp_path, KEY))[0]


def test_a_world_readable_secret_is_refused(tmp_path: Path) -> None:
    assert "mode 0644" in refused(API_KEY_FILE=secret_file(tmp_path, KEY, 0o644))[0]


def test_a_missing_or_empty_secret_file_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(API_KEY_FILE=str(tmp_path / "nothing"))[0]
    assert "must not be empty" in refused(API_KEY_FILE=secret_file(tmp_path, "\n"))[0]
    assert (
        "regular file" in refused(API_KEY_FILE="/dev/null")[0]
        or "cannot be read" in refused(API_KEY_FILE="/dev/null")[0]
    )


@pytest.mark.parametrize(
    "key",
    [
        "changeme",
        "your-api-key",
        "a" * 64,
        "0123456789abcdef" * 4,
        "change-me-change-me-change-me-change-me-9281736450",
        KEY[:63],
        KEY[:32],
        KEY + "\n",
        "short",
    ],
)
def test_a_placeholder_or_weak_key_is_refused(key: str) -> None:
    assert check_key(key) is not None


@pytest.mark.parametrize("key", [KEY, "q4zRk1Zs8dJ0bXvYt2mNwPfLhGcQeUiOaS5D6H7K9xw"])
def test_a_random_key_of_256_bit_is_taken(key: str) -> None:
    assert check_key(key) is None


def test_no_secret_is_shown() -> None:
    shown = repr(load(API_KEY=KEY, REDIS_URL="redis://:topsecret@r:6379"))
    assert KEY not in shown
    assert "hunter2secret" not in shown
    assert "topsecret" not in shown
    assert all(KEY[:60] not in p for p in refused(API_KEY=KEY[:60]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSTGRES_DSN", "postgres//veloz:TOPSECRET@db/veloz"),
        ("POSTGRES_DSN", "TOPSECRET"),
        ("REDIS_URL", "redis://:TOPSECRET@cache:port/0"),
        ("REDIS_URL", "redis://:TOPSECRET@cache:6379/zero"),
        ("ADMIN_PASSWORD", "changeme-TOPSECRET-changeme"),
        ("ADMIN_PASSWORD", " " * 20),
        ("ADMIN_PASSWORD", "12121212121212121212"),
    ],
)
def test_a_secret_that_cannot_be_used_is_refused_and_not_shown(name: str, value: str) -> None:
    (problem,) = refused(**{name: value})
    assert problem.startswith(f"VELOZ_{name} ")
    assert "TOPSECRET" not in problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSTGRES_DSN", "host=/run/pg dbname=veloz user=veloz"),
        ("POSTGRES_DSN", "postgresql://veloz@/veloz?host=%2Frun%2Fpg"),
        ("POSTGRES_DSN", "postgresql://veloz@a:5432,b:5432/veloz?target_session_attrs=read-write"),
        ("REDIS_URL", "redis://cache"),
        ("REDIS_URL", "rediss://user:p%40ss@cache:6380/1?ssl_cert_reqs=required"),
        ("REDIS_URL", "unix:///run/valkey.sock?db=0"),
        ("REDIS_URL", "redis://[::1]:6379"),
        ("ADMIN_PASSWORD", "correct horse battery staple"),
    ],
)
def test_the_usual_forms_of_secrets_are_taken(name: str, value: str) -> None:
    assert getattr(load(**{name: value}), name.lower()) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PAPER_BALANCES", "USDT=999999999999"),
        ("INSTRUMENTS", "BTCUSDT/BTC/USDT/0/0.001"),
        ("INSTRUMENTS", "BTCUSDT/BTC/USDT/0.01/0"),
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
        ("TRUSTED_PROXIES", "::/0"),
    ],
)
def test_a_value_that_would_fail_later_or_trust_everybody_is_refused(name: str, value: str) -> None:
    (problem,) = refused(**{name: value})
    assert problem.startswith(f"VELOZ_{name}={value!r} must ")


def test_a_revoked_keys_stream_cannot_be_set_to_outlive_five_seconds() -> None:
    assert "STREAM_RECHECK" in refused(STREAM_RECHECK="4")[0]
