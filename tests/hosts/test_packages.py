"""Only what is missing is installed, and no clock daemon where the clock is not the host's."""

from hosts import packages
from tests.hosts.fakes import Answers, fake_session, ran

THERE: Answers = {"dpkg -l": [f"ii  {name}:amd64  1.0  amd64" for name in packages.TOOLS]}


def test_where_all_is_there_nothing_runs() -> None:
    with fake_session(THERE) as session:
        assert session.run(packages.apply, "docker") == ()
    assert [command for command, _ in ran if "apt-get" in command] == []


def test_what_is_missing_is_installed_after_an_update() -> None:
    with fake_session({**THERE, "apt-get": ""}) as session:
        [step] = session.run(packages.apply, "")
    assert step.name == "packages chrony"
    commands = [command for command, _ in ran if "apt-get" in command]
    assert "update" in commands[0]
    assert commands[-1].endswith("install --no-install-recommends chrony")
