"""An image that knows fewer settings than this program: what it is not told, and what is refused.

The list is a real one: the settings of VeloZ (faf36ea) before several gateways could share a database.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.settings import VARIABLES
from stacks import older_image
from stacks.commands import deploying
from stacks.commands.image_labels import Said
from stacks.commands.releases import Release
from stacks.document import load
from stacks.environment import variables
from stacks.images.recipe import SETTINGS_LABEL
from stacks.refusals import SpecError
from stacks.secrets import problems
from tests.stacks.declared import declare, environment, of_role, secret_values

OLD = (Path(__file__).parent / "data" / "settings-of-one-gateway.txt").read_text().split()
IMAGE = "registry.example/veloz:0.0.1"


def known_by(settings: list[str], **deployment: Any) -> dict[str, Any]:  # noqa: ANN401 - as a stack file has it
    return {"topology": "single", **deployment, "images": {"veloz": IMAGE, "known_settings": settings}}


def refused(document: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        load(document)
    return {one.path: one.rule for one in caught.value.refusals}


def test_what_only_says_the_usual_is_left_out() -> None:
    assert set(OLD) < set(older_image.SETTINGS)
    spec, today = load(known_by(OLD)), load(known_by([]))
    assert set(variables(today)) - set(variables(spec)) == {"VELOZ_DRAIN_POLICY"}
    for name in variables(spec):
        assert name.removeprefix("VELOZ_").removesuffix("_FILE").lower() in OLD
    recording = declare(spec)
    for container in of_role(recording, "gateway"):
        assert environment(container) == variables(spec)


def test_what_the_description_asks_for_and_the_image_cannot_is_refused() -> None:
    asked = known_by(OLD, gateways={"settings": {"log_keep_days": 3, "drain_linger": 5.0, "lease_ttl": 3.0}})
    unknown = {f"gateways.settings.{name}" for name in ("log_keep_days", "drain_linger", "lease_ttl")} - {
        f"gateways.settings.{name}" for name in OLD
    }
    assert unknown == {"gateways.settings.log_keep_days", "gateways.settings.drain_linger"}
    assert refused(asked) == dict.fromkeys(unknown, f"is not a setting of {IMAGE}")
    # It says no more than what is usual.
    assert load(known_by(OLD, gateways={"settings": {"log_keep_days": 0.0, "drain_linger": 7}}))
    assert "drain_policy" in refused(known_by(OLD, gateways={"drain_policy": "cancel"}))["images.veloz"]


def test_several_gateways_need_an_image_that_knows_of_them() -> None:
    asked = known_by(OLD, topology="compose")
    with pytest.raises(
        SpecError, match="knows no setting cluster_secret, which follows from the secret cluster_secret"
    ):
        load(asked)


def test_a_secret_that_its_gateways_do_not_know_is_refused() -> None:
    spec = load(known_by([name for name in older_image.SETTINGS if name != "admin_password"]))
    secrets = secret_values(spec)
    assert problems(secrets, spec) == []
    (one,) = problems({**secrets, "admin_password": "correct horse battery staple"}, spec)
    assert (one.path, one.value) == ("veloz:secrets.admin_password", None)
    assert one.rule == f"is not a setting of {IMAGE}"


def test_an_image_that_knows_all_or_says_nothing_is_told_all() -> None:
    release = Release(id=1, time="", outcome="good", deployment={"topology": "single"}, image=IMAGE)
    every = [one.field for one in VARIABLES]
    for said in (Said(None), Said({}), Said({SETTINGS_LABEL: ""}), Said({SETTINGS_LABEL: ",".join([*every, "newer"])})):
        assert deploying.pin(release, said)["images"] == {"veloz": IMAGE}
    pinned = deploying.pin(release, Said({SETTINGS_LABEL: ",".join(OLD)}))
    assert pinned["images"] == {"veloz": IMAGE, "known_settings": OLD}
    assert load(pinned).images.known_settings == tuple(OLD)


def test_a_list_without_its_image_is_refused() -> None:
    assert refused({"topology": "single", "images": {"known_settings": OLD}}) == {
        "images.known_settings": "needs images.veloz"
    }
