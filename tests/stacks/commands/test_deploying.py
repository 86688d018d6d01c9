"""Releases with the real CLI and a real gateway: up, up again, a failing one, back, destroyed; but for the pre-flight."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from app.migrate import read_migrations
from stacks.commands import (
    deploying,
    destroying,
    docker_facts,
    docker_standing,
    docker_volumes,
    fixed_secrets,
    releases,
)
from stacks.commands.failures import Failure
from stacks.commands.findings import Finding
from stacks.commands.image_labels import Said
from stacks.commands.standing import Part
from stacks.images.recipe import SCHEMA_LABEL
from stacks.spec import Deployment
from tests.faults.gateway import Gateway
from tests.stacks.commands.conftest import NAME, UNASKED, Place, known, outcomes, well, write

# Each runs the CLI several times, and that starts a program in Python each time.
pytestmark = [pytest.mark.timeout(400), pytest.mark.usefixtures("target", "said")]


def test_a_release_is_recorded_once_and_again_nothing_changes(deployed: Place, gateway: Gateway) -> None:
    (first,) = known(deployed)
    assert first.image == "veloz:0.1.0-info"
    ours = len(read_migrations())
    assert (first.schema, first.witness, first.database) == (ours, "gateways", ours)
    assert first.deployment["edge"] == {"http_port": gateway.port}
    assert gateway.key not in deployed.project.releases(NAME).read_text()
    again = deploying.up(deployed.stack(NAME), seconds=20)
    assert (again.changed, again.release) == (0, first)
    assert [step.what for step in again.steps][-1] == "event of the cancellation"
    assert known(deployed) == [first]


def test_rollback_returns_to_the_release_before_with_its_image_and_its_description(
    deployed: Place, gateway: Gateway
) -> None:
    write(deployed, gateway, log_level="WARNING")
    deploying.up(deployed.stack(NAME), seconds=20)
    assert deployed.stack(NAME).pulumi.outputs(NAME)["image"] == "veloz:0.1.0-warning"
    text = deployed.project.stack_file(NAME).read_text()
    done = deploying.rollback(deployed.stack(NAME), seconds=20)
    assert outcomes(deployed) == [(1, "good", 0), (2, "good", 0), (3, "good", 1)]
    assert done.release.deployment == known(deployed)[0].deployment
    assert deployed.stack(NAME).pulumi.outputs(NAME)["image"] == "veloz:0.1.0-info"
    assert deployed.project.stack_file(NAME).read_text() == text
    with pytest.raises(Failure, match="no good one that is any different"):
        deploying.rollback(deployed.stack(NAME), seconds=20)


def test_what_the_gateways_say_is_recorded_and_a_named_image_s_own_number_before(
    deployed: Place, gateway: Gateway, said: list[Said]
) -> None:
    ours = len(read_migrations())
    said[:] = [Said({SCHEMA_LABEL: "1"})]
    write(deployed, gateway, image="veloz:9.9.9", log_level="DEBUG")
    with pytest.raises(Failure):
        deploying.up(deployed.stack(NAME), seconds=20)
    assert (known(deployed)[-1].schema, known(deployed)[-1].witness) == (1, "image")
    said[:] = [Said(None, "its registry is away")]
    with pytest.raises(Failure):
        deploying.up(deployed.stack(NAME), seconds=20)
    assert (known(deployed)[-1].schema, known(deployed)[-1].witness) == (None, "image")
    write(deployed, gateway, image="veloz:9.9.9")
    last = deploying.up(deployed.stack(NAME), seconds=20).release
    assert (last.schema, last.witness, last.database) == (ours, "gateways", ours)
    assert known(deployed)[-1] == last


def test_a_rollback_is_refused_when_the_image_lacks_a_migration_that_the_database_has(
    deployed: Place, gateway: Gateway, said: list[Said]
) -> None:
    ours = len(read_migrations())
    write(deployed, gateway, log_level="WARNING")
    deploying.up(deployed.stack(NAME), seconds=20)
    before = deployed.state()
    said[:] = [Said({SCHEMA_LABEL: str(ours - 1)})]
    with pytest.raises(Failure, match=f"knows the schema up to migration {ours - 1}, and the database has {ours}"):
        deploying.rollback(deployed.stack(NAME), seconds=20)
    assert deployed.state() == before
    # Whoever knows better says so.
    assert deploying.rollback(deployed.stack(NAME), seconds=20, schema=ours - 1).release.of == 1


def test_a_secret_that_no_update_can_change_stops_it_unless_somebody_saw_to_it(
    deployed: Place, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise Failure("another password")

    monkeypatch.setattr(fixed_secrets, "check", refuse)
    write(deployed, gateway, log_level="WARNING")
    with pytest.raises(Failure, match="another password"):
        deploying.up(deployed.stack(NAME), seconds=20)
    assert outcomes(deployed) == [(1, "good", 0)]
    assert (
        deploying.up(deployed.stack(NAME), seconds=20, accepted=deploying.Accepted(secrets_changed=True)).release.id
        == 2
    )


def test_another_docker_host_is_refused_unless_somebody_saw_to_it(
    deployed: Place, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert known(deployed)[0].target == {"daemon": "here"}
    monkeypatch.setattr(docker_facts, "identity", lambda *_: {"daemon": "elsewhere"})
    write(deployed, gateway, log_level="WARNING")
    before = deployed.state()
    with pytest.raises(Failure, match=r"daemon here, and the Docker at .* is daemon elsewhere; the daemon differs"):
        deploying.up(deployed.stack(NAME), seconds=20)
    assert deployed.state() == before
    again = deploying.up(deployed.stack(NAME), seconds=20, accepted=deploying.Accepted(target_changed=True))
    assert again.release.target == {"daemon": "elsewhere"}


def test_what_pulumi_cannot_do_is_a_failed_release_and_says_the_way_back(deployed: Place, gateway: Gateway) -> None:
    write(deployed, gateway, log_level="DEBUG")
    with pytest.raises(Failure, match=r"Port 80 on 127.0.0.1 is taken.*\n.*make rollback STACK=single"):
        deploying.up(deployed.stack(NAME), seconds=20)
    assert outcomes(deployed) == [(1, "good", 0), (2, "failed", 0)]


def test_a_deployment_that_serves_and_does_not_stand_is_a_failed_release(
    deployed: Place, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restarting(spec: Deployment, environ: object) -> list[Part]:
        return [part._replace(restarts=7, age=3.0) for part in well(spec, environ)]

    monkeypatch.setattr(docker_standing, "read", restarting)
    write(deployed, gateway, log_level="WARNING")
    with pytest.raises(
        Failure, match=r"but not all of it stands after 1 s.*\n.*veloz-gateway has restarted \(7 so far\)"
    ):
        deploying.up(deployed.stack(NAME), seconds=1)
    assert outcomes(deployed) == [(1, "good", 0), (2, "failed", 0)]


def test_a_deployment_that_does_not_serve_is_a_failed_release(deployed: Place, free_port: int) -> None:
    deployed.write(NAME, {"topology": NAME, "edge": {"http_port": free_port}})
    with pytest.raises(Failure, match=r"was not ready within 1 s.*\n.*make rollback STACK=single"):
        deploying.up(deployed.stack(NAME), seconds=1)
    assert outcomes(deployed) == [(1, "good", 0), (2, "failed", 0)]
    deploying.rollback(deployed.stack(NAME), seconds=20)
    assert outcomes(deployed)[-1] == (3, "good", 1)


def test_a_target_that_is_refused_changes_nothing(deployed: Place, gateway: Gateway, target: list[Finding]) -> None:
    write(deployed, gateway, log_level="WARNING")
    before = deployed.state()
    target.append(Finding("Docker", "a daemon that answers", "none", "refused", "Start it."))
    for command in (deploying.up, deploying.rollback):
        with pytest.raises(Failure):
            command(deployed.stack(NAME), seconds=20)
    assert deployed.state() == before


def test_a_broken_policy_changes_nothing(deployed: Place, gateway: Gateway) -> None:
    deployed.write(NAME, {"topology": NAME, "name": "leaky", "edge": {"http_port": gateway.port}})
    before = deployed.state()
    with pytest.raises(Failure, match=r"(?s)policy is broken, and nothing was changed.*secret-state") as refused:
        deploying.up(
            deployed.stack(NAME), seconds=20, accepted=deploying.Accepted(target_changed=True)
        )  # the name is another
    assert gateway.key not in str(refused.value)
    assert deployed.state() == before


def test_data_stays_until_its_loss_is_confirmed(deployed: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []
    monkeypatch.setattr(docker_volumes, "data", lambda *_: ["veloz-data"])
    monkeypatch.setattr(docker_volumes, "remove", lambda _spec, _environ, volumes: removed.extend(volumes))
    stack = deployed.stack(NAME)
    going = destroying.look(stack, "")
    assert (going.kept, [change.name for change in going.changes]) == (["data", "veloz-data"], ["gateway"])
    assert destroying.destroy(stack, going, "") == 1
    assert destroying.protected(stack) == ["data"]
    with pytest.raises(Failure, match="CONFIRM=other is not the stack's name"):
        destroying.look(stack, "other")
    deploying.up(stack, seconds=20)
    going = destroying.look(stack, NAME)
    assert ({change.name for change in going.changes}, going.data) == ({"data", "gateway"}, ["veloz-data"])
    assert destroying.destroy(stack, going, NAME) == 3
    assert removed == ["veloz-data"]
    assert destroying.protected(stack) == []
    assert outcomes(deployed)[-1][1] == "destroyed"
    with pytest.raises(Failure, match="destroyed with its data"):
        deploying.rollback(stack, seconds=20)


def test_the_preview_is_a_table_of_changes_for_people_and_a_document_for_machines(
    deployed: Place, gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    write(deployed, gateway, log_level="WARNING")
    stack = deployed.stack(NAME)
    previewed = stack.preview(deployed.project.deployment(NAME), stack.pulumi.configuration(NAME))
    stack.show(previewed)
    assert "update  Resource  gateway" in capsys.readouterr().out
    releases.put(
        deployed.project.releases(NAME), msgspec.structs.replace(known(deployed)[0], target={})
    )  # whoever answers
    document: dict[str, Any] = deployed.run("preview", "--stack", NAME, "--json", program=UNASKED).document
    assert document["ok"]
    assert [(one["op"], one["name"]) for one in document["changes"]] == [("update", "gateway")]
