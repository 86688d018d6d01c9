"""Image references: what repository, tag, version and digest they name, and whether that is one image for ever."""

from __future__ import annotations

import pytest

from stacks.references import Reference, parse, version
from stacks.spec import Images

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "reference", "number", "pinned"),
    [
        ("nginx", Reference("nginx", "", ""), (), False),
        ("nginx:latest", Reference("nginx", "latest", ""), (), False),
        ("nginx:stable-1", Reference("nginx", "stable-1", ""), (), False),
        ("nginx:1.28.0-bookworm", Reference("nginx", "1.28.0-bookworm", ""), (1, 28, 0), True),
        ("prom/prometheus:v3.5.0", Reference("prom/prometheus", "v3.5.0", ""), (3, 5, 0), True),
        ("host:5000/a/nginx", Reference("host:5000/a/nginx", "", ""), (), False),
        ("host:5000/nginx:1", Reference("host:5000/nginx", "1", ""), (1,), True),
        (f"nginx@{DIGEST}", Reference("nginx", "", DIGEST), (), True),
        (f"h:1/nginx:1.2@{DIGEST}", Reference("h:1/nginx", "1.2", DIGEST), (1, 2), True),
    ],
)
def test_a_reference_is_read(image: str, reference: Reference, number: tuple[int, ...], *, pinned: bool) -> None:
    assert parse(image) == reference
    assert version(image) == number
    assert reference.pinned is pinned


def test_the_usual_images_are_pinned() -> None:
    images = Images()
    for name in ("python", "nginx", "haproxy", "postgres", "redis", "prometheus", "grafana"):
        assert parse(getattr(images, name)).pinned
