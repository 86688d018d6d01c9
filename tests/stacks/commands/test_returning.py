"""Returns that do not come to their end: the same command goes on with them, and their last sentence says so."""

from __future__ import annotations

import pytest

from stacks.commands import deploying, docker_standing
from stacks.commands.failures import Failure, Interrupted
from stacks.commands.stack import Stack
from stacks.commands.standing import Part
from stacks.spec import Deployment
from tests.faults.gateway import Gateway
from tests.stacks.commands.conftest import NAME, Place, outcomes, well, write

ON = r"(?s)To go on to release 1, the same command again: make rollback STACK=single$"

# Each runs the CLI several times, and that starts a program in Python each time.
pytestmark = [pytest.mark.timeout(400), pytest.mark.usefixtures("target", "said")]


def test_a_return_that_fails_goes_on_to_the_same_release(
    deployed: Place, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restarting(spec: Deployment, environ: object) -> list[Part]:
        return [part._replace(restarts=7, age=3.0) for part in well(spec, environ)]

    write(deployed, gateway, log_level="WARNING")
    deploying.up(deployed.stack(NAME), seconds=20)
    with monkeypatch.context() as patch:
        patch.setattr(docker_standing, "read", restarting)
        with pytest.raises(Failure, match=ON) as failed:
            deploying.rollback(deployed.stack(NAME), seconds=1)
    assert "make up" not in str(failed.value)
    deploying.rollback(deployed.stack(NAME), seconds=20)
    assert outcomes(deployed) == [(1, "good", 0), (2, "good", 0), (3, "failed", 1), (4, "good", 1)]
    # What served before a release that fails is the return, and not what it left.
    write(deployed, gateway, log_level="DEBUG")
    with pytest.raises(Failure, match="Return to release 1: make rollback STACK=single"):
        deploying.up(deployed.stack(NAME), seconds=20)


@pytest.mark.parametrize("stopped", [Interrupted("Stopped. It went so far."), KeyboardInterrupt()])
def test_a_return_that_is_stopped_goes_on_to_the_same_release(
    deployed: Place, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, stopped: BaseException
) -> None:
    def stop(*_: object) -> None:
        raise stopped

    write(deployed, gateway, log_level="DEBUG")
    with pytest.raises(Failure):
        deploying.up(deployed.stack(NAME), seconds=20)
    with monkeypatch.context() as patch:
        patch.setattr(Stack, "wait", stop)
        with pytest.raises(Interrupted, match=ON) as said:
            deploying.rollback(deployed.stack(NAME), seconds=20)
    assert str(said.value).startswith("Stopped.")
    deploying.rollback(deployed.stack(NAME), seconds=20)
    assert outcomes(deployed) == [(1, "good", 0), (2, "failed", 0), (3, "begun", 1), (4, "good", 1)]
