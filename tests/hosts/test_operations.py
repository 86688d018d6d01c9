"""Operations do nothing where it is so already, and leave a whole file or the one before."""

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hosts import operations
from hosts.listeners import LISTENERS
from hosts.session import Step
from tests.hosts.fakes import fake_session, ran


def nothing_to_do() -> None:
    operations.file_kept(path="/etc/x", text="a", have="a")
    operations.file_gone(path="/etc/x", have=None)
    operations.module_loaded(module="nf_conntrack", loaded=True)
    operations.module_gone(module="nf_conntrack", loaded=False)
    operations.sysctl_set(key="vm.swappiness", value="1", have="1")
    operations.sysfs_set(path="/sys/x", value="1", have="1")
    operations.told(command="systemctl restart x", when=False)
    operations.marked(paths=())
    operations.unfinished_gone(paths=())
    operations.folders_gone(paths=())


def test_where_it_is_so_already_nothing_runs() -> None:
    with fake_session({}) as session:
        assert {step.changed for step in session.run(nothing_to_do)} == {False}
    assert ran == []


def everything() -> None:
    operations.module_loaded(module="nf_conntrack", loaded=False, name="m")
    operations.sysctl_set(key="net.ipv4.tcp_rmem", value="1 2 3", have=None, name="s")
    operations.sysfs_set(path="/sys/kernel/mm/x", value="madvise", have="[always] madvise", name="f")
    operations.file_gone(path="/etc/x y", have="a", name="g")
    operations.told(command="systemctl restart x", when=True, name="t")


def test_each_is_one_command_with_its_arguments_quoted() -> None:
    with fake_session({}) as session:
        assert session.run(everything) == tuple(Step(name, changed=True) for name in "msfgt")
    path = "PATH=/usr/sbin:/sbin:/usr/bin:/bin"
    assert [command for command, _ in ran] == [
        f"{path} modprobe nf_conntrack",
        f'said=$({path} sysctl -q -w \'net.ipv4.tcp_rmem=1 2 3\' 2>&1) && [ -z "$said" ] || {{ echo "$said" >&2; exit 1; }}',
        "{ printf '%s' madvise > /sys/kernel/mm/x; }",
        "rm -f '/etc/x y' && sync /etc",
        f"{path} systemctl restart x",
    ]


def an_interrupt() -> None:
    operations.sysfs_set(path="/proc/irq/999999/smp_affinity_list", value="0", have=None)


def test_an_interrupt_that_its_driver_keeps_ends_nothing() -> None:
    with fake_session({}) as session:
        session.run(an_interrupt)
    [(command, _)] = ran
    assert subprocess.run(["sh", "-c", command], check=False, capture_output=True).returncode == 0


def keep(path: Path, text: str, have: str | None, mode: str) -> None:
    operations.file_kept(path=str(path), text=text, have=have, mode=mode)


@pytest.mark.parametrize("mode", ["600", "644"])
def test_a_file_is_kept_whole_with_its_mode_whatever_is_in_it(tmp_path: Path, mode: str) -> None:
    text = "é '\"$x`\n\n no newline at the end"
    path = tmp_path / "a folder" / "it's.conf"
    with fake_session({}) as session:
        session.run(keep, path, text, None, mode)
    [(command, stdin)] = ran
    assert base64.b64decode(stdin).decode() == text
    subprocess.run(["sh", "-c", command], input=stdin, text=True, check=True)
    assert path.read_text() == text
    assert f"{path.stat().st_mode & 0o777:o}" == mode
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_text("before")
    with fake_session({}) as session:
        session.run(keep, path, "after", "before", "644")
    [(command, _)] = ran
    done = subprocess.run(["sh", "-c", command], input="no base64!", text=True, check=False, capture_output=True)
    assert done.returncode
    assert path.read_text() == "before"


def ran_here(operation: Callable[[], object]) -> str:
    """The one command of an operation, done by this machine's shell; its own words."""

    def stage() -> None:
        operation()

    with fake_session({}) as session:
        session.run(stage)
    [(command, stdin)] = ran
    return subprocess.run(["sh", "-c", command], input=stdin, text=True, check=True, capture_output=True).stderr


def test_a_new_folders_name_is_on_the_disk_before_its_file(tmp_path: Path) -> None:
    path = tmp_path / "one/two/x.conf"
    ran_here(lambda: operations.file_kept(path=str(path), text="a", have=None))
    command = ran[0][0]
    assert command.index(f"sync {tmp_path}/one/two {tmp_path}/one {tmp_path}") < command.index("base64")
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o755


def test_folders_that_were_made_go_but_for_those_that_somebody_uses(tmp_path: Path) -> None:
    deep, used = tmp_path / "a/b/c", tmp_path / "used/d"
    deep.mkdir(parents=True)
    used.mkdir(parents=True)
    (tmp_path / "used/theirs").touch()
    paths = [str(one) for one in (deep, used, deep.parent, tmp_path / "a", tmp_path / "used", tmp_path / "gone")]
    assert ran_here(lambda: operations.folders_gone(paths=paths)) == ""
    assert sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*")) == ["used", "used/theirs"]


def test_what_is_forgotten_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "veloz/host/snapshot.json"
    path.parent.mkdir(parents=True)
    path.touch()
    (path.parent / ".snapshot.json.veloz-new").touch()
    ran_here(lambda: operations.forgotten(path=str(path), paths=[str(path.parent), str(path.parent.parent)]))
    assert list(tmp_path.iterdir()) == []


def test_a_mark_goes_when_it_was_heard_and_not_before(tmp_path: Path) -> None:
    mark = tmp_path / "run/untold x"
    ran_here(lambda: operations.marked(paths=(str(mark),)))
    assert (mark.exists(), mark.parent.stat().st_mode & 0o777) == (True, 0o700)
    with pytest.raises(subprocess.CalledProcessError):
        ran_here(lambda: operations.told(command="false", when=True, mark=str(mark)))
    assert mark.exists()
    ran_here(lambda: operations.told(command="true", when=True, mark=str(mark)))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("state", "restart", "told"),
    [("active", 0, True), ("activating", 0, True), ("inactive", 5, True), ("failed", 1, True), ("active", 1, False)],
)
def test_who_does_not_run_need_not_hear_and_who_does_must(tmp_path: Path, state: str, restart: int, told: bool) -> None:  # noqa: FBT001
    """`inactive` is what systemd says of a unit that is not there, too."""
    mark = tmp_path / "mark"
    mark.touch()
    chrony = next(one for one in LISTENERS if one.part == "/etc/chrony/")
    systemctl = f'systemctl() {{ case "$1" in show) echo {state};; *) return {restart};; esac; }}'
    done = subprocess.run(["sh", "-c", f"{systemctl}; {chrony.command} && rm -f {mark}"], check=False)
    assert (done.returncode == 0, mark.exists()) == (told, not told)


def module_m() -> None:
    operations.module_gone(module="m", loaded=True)


@pytest.mark.parametrize(("count", "unloads"), [("0", True), ("3", False), (None, False)])
def test_a_module_that_is_used_or_gone_is_left_alone(tmp_path: Path, count: str | None, unloads: bool) -> None:  # noqa: FBT001
    modules = tmp_path / "modules"
    modules.write_text("other 1 0 - Live 0x0\n" + (f"m 1 {count} - Live 0x0\n" if count else ""))
    with fake_session({}) as session:
        session.run(module_m)
    command = ran[0][0].replace("/proc/modules", str(modules)).replace("rmmod", "echo rmmod")
    done = subprocess.run(["sh", "-c", command], text=True, check=True, capture_output=True)
    assert done.stdout == ("rmmod m\n" if unloads else "")
