"""What pulumi says becomes a sentence with a remedy; nothing of a program's inner workings is shown."""

from __future__ import annotations

import pytest

from stacks.commands.pulumi_errors import explain

TRACEBACK = """
Diagnostics:
  pulumi:pulumi:Stack (veloz-compose):
    error: Program failed with an unhandled exception:
    Traceback (most recent call last):
      File "/project/__main__.py", line 13, in <module>
        spec = load(document)
               ^^^^^^^^^^^^^^
      File "/project/stacks/document.py", line 44, in load
        raise SpecError(wrong)
    stacks.refusals.SpecError: edge.http_port = 70000: must be 1 to 65535; choose another
    postgres.max_connections = 20: must be at least 74; raise it

error: preview failed
"""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("error: no stack named 'mine' found", "There is no stack mine in file:///state. Make it: make init STACK=mine"),
        ("error: getting stack configuration: get stack secrets manager: incorrect passphrase", "passphrase is not the one"),
        ("error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE or", "There is no passphrase"),
        ("error: the stack is currently locked by 1 lock(s). Either wait", "stacks pulumi --stack STACK"),
        ("error: no language plugin 'pulumi-language-python' found", "pulumi-language-python"),
        ("error: no resource plugin 'pulumi-resource-docker' found in the workspace", "plugin docker is not there"),
        ("Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?", "reached at unix:///x.sock."),
        ("error: 1 error occurred: * Error pinging Docker server, please make sure", "Docker cannot be reached."),
        ("error: configured Kubernetes cluster is unreachable: unable to load schema", "The cluster cannot be reached."),
        ('error: context "prod" does not exist', "There is no context prod"),
        ("Bind for 127.0.0.1:80 failed: port is already allocated", "Port 80 on 127.0.0.1 is taken."),
        ("listen tcp4 0.0.0.0:443: bind: address already in use", "Port 443 on 0.0.0.0 is taken."),
        ("Unable to find or pull image redis:9", "The image redis:9 cannot be had."),
        ("error during container init: error setting rlimit type 7: operation not permitted", "lower limits.open_files."),
        ("Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available", "the host, which has 2.00."),
        ('Conflict. The container name "/veloz-redis" is already in use by', "There is a container veloz-redis already"),
        ("invalid pool request: Pool overlaps with other one on this address space", "docker.subnet must be free"),
        ("container failed to be in healthy state", "did not become healthy"),
        (
            "pulumi.errors.RunError: haproxy refuses its new configuration: bad | line.\ncontainer failed to be in healthy state",
            "haproxy refuses its new configuration: bad | line. Correct",
        ),
        (
            'namespaces "veloz" already exists\n\nThe resource already exists in the cluster. This can',
            "there is namespaces veloz already, which the state",
        ),
        ("write /var/lib/x: no space left on device", "The disk is full."),
        ('resource "urn::data" cannot be deleted\nbecause it is protected', "urn::data holds data and is protected"),
        ('error: unable to open state directory "file:///nowhere": stat', "The state in file:///nowhere cannot be opened."),
    ],
)  # fmt: skip
def test_a_known_cause_is_a_sentence(said: str, expected: str) -> None:
    found = explain(said, backend="file:///state")
    assert expected in found
    assert "\n" not in found
    assert "{" not in found


def test_what_the_description_breaks_is_said_without_a_traceback() -> None:
    assert explain(TRACEBACK) == (
        "The description is refused:\n"
        "  edge.http_port = 70000: must be 1 to 65535; choose another\n"
        "  postgres.max_connections = 20: must be at least 74; raise it"
    )


def test_of_an_unknown_cause_the_errors_are_shown_once_and_no_frames() -> None:
    said = (
        TRACEBACK.replace("stacks.refusals.SpecError: ", "KeyError: ")
        + "error: the moon is full\nerror: the moon is full\n"
    )
    found = explain(said)
    assert found.count("the moon is full") == 1
    assert "Traceback" not in found
    assert "File " not in found


def test_silence_is_said() -> None:
    assert explain("") == "Pulumi refuses: it ended without a word; run the command again."
