"""`init` with the real CLI: what it makes, that it changes nothing the second time, and what it refuses."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from stacks.commands import certificates
from stacks.commands.failures import Failure
from stacks.commands.initialising import advice, initialise
from stacks.secrets import problems, required
from tests.stacks.commands.conftest import Place

# Each secret is a call of the CLI.
pytestmark = pytest.mark.timeout(300)


def test_a_stack_is_made_whole_and_the_second_time_nothing_changes(place: Place) -> None:
    stack = place.stack("mine")
    done = initialise(stack, topology="compose", hostname="veloz.test")
    spec = place.project.deployment("mine")
    assert (spec.topology, spec.name, spec.edge.hostname) == ("compose", "mine", "veloz.test")
    assert set(done.made) == set(required(spec))
    found = stack.pulumi.configuration("mine").secrets
    assert problems(found, spec) == []
    assert certificates.read(found["tls_certificate"]).names == ("veloz.test", "127.0.0.1")
    text = place.project.stack_file("mine").read_text()
    everything = "".join(map(str, place.state().values()))
    for name, value in found.items():
        if name != "tls_ca":
            assert value not in text
            assert value not in everything
    random = [value for name, value in found.items() if not name.startswith("tls_")]
    assert all(len(value) == 64 for value in random)
    assert len(set(random)) == len(random)
    assert place.project.authority("mine").read_text() == found["tls_ca"]
    assert stat.S_IMODE(place.project.passphrase.stat().st_mode) == 0o600
    before = place.state()
    assert initialise(place.stack("mine")).made == ()
    assert place.state() == before


def test_a_stack_file_that_is_there_keeps_what_it_says_and_gets_secrets(place: Place) -> None:
    comment = "# A person wrote this.\n"
    path = place.write("single", {"topology": "single"})
    path.write_text(comment + path.read_text())
    done = initialise(place.stack("single"))
    assert done.made == ("api_key",)
    assert done.missing == ()
    assert path.read_text().startswith(comment)
    assert place.project.deployment("single").topology == "single"


def test_what_a_person_must_give_is_named(place: Place) -> None:
    place.write("mine", {"topology": "compose", "postgres": {"store": "external", "host": "db.test"}})
    missing = initialise(place.stack("mine")).missing
    assert missing == ("postgres_dsn",)
    (line,) = advice(place.stack("mine"), missing)
    words = line.removeprefix("postgres_dsn: python -m stacks pulumi --stack mine -- ").replace("'", "").split()
    dsn = "postgresql://veloz:a-password@db.test/veloz"
    place.stack("mine").pulumi.run([*words, "--stack", "mine"], given=dsn)
    assert place.stack("mine").pulumi.configuration("mine").secrets["postgres_dsn"] == dsn


@pytest.mark.parametrize(
    ("name", "options", "refusal"),
    [
        ("mine", {}, "does not say which topology"),
        ("mine", {"topology": "cloud"}, "none of single, compose, kubernetes"),
        ("single", {"topology": "compose"}, "there already and says single where TOPOLOGY=compose"),
        ("single", {"hostname": "other.test"}, "says nothing where HOSTNAME=other.test"),
        ("single", {"renew": True}, "edge.tls.source is none"),
        ("mine", {"topology": "compose", "hostname": "not a host"}, "would be refused"),
    ],
)
def test_init_refuses(place: Place, name: str, options: dict[str, str], refusal: str) -> None:
    place.write("single", {"topology": "single"})
    before = place.state()
    with pytest.raises(Failure, match=refusal):
        initialise(place.stack(name), **options)  # type: ignore[arg-type]
    if "renew" not in options:
        assert place.state() == before


def test_the_certificate_is_made_anew_when_asked_for(place: Place) -> None:
    place.write("compose", {"topology": "compose"})
    initialise(place.stack("compose"))
    first = place.stack("compose").pulumi.configuration("compose").secrets
    assert initialise(place.stack("compose"), renew=True).made == ("tls_certificate", "tls_key", "tls_ca")
    second = place.stack("compose").pulumi.configuration("compose").secrets
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"tls_certificate", "tls_key", "tls_ca"}
    assert place.project.authority("compose").read_text() == second["tls_ca"]


def test_secrets_of_another_passphrase_are_not_written_over(place: Place, tmp_path: Path) -> None:
    place.write("single", {"topology": "single"})
    initialise(place.stack("single"))
    place.project.passphrase.rename(tmp_path / "elsewhere")
    before = place.state()
    with pytest.raises(Failure, match="encrypted with a passphrase that is not here"):
        initialise(place.stack("single"))
    assert place.state() == before
    place.project.passphrase.write_text("another\n")
    place.project.passphrase.chmod(0o600)
    with pytest.raises(Failure, match="not the one this stack's secrets were encrypted with"):
        initialise(place.stack("single"))


def test_a_passphrase_that_others_can_read_is_refused(place: Place) -> None:
    place.project.passphrase.parent.mkdir()
    place.project.passphrase.write_text("x\n")
    place.project.passphrase.chmod(0o644)
    with pytest.raises(Failure, match=r"has mode 0644: others may read .* chmod 600"):
        place.stack("single")
