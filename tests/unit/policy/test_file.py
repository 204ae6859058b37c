"""Policies as files: what is refused with which words, and which files are trusted."""

import os
import stat
from pathlib import Path

import pytest

from orchestrator.plan.attach_kinds import ATTACH_KINDS
from orchestrator.plan.build import LIMIT_READERS
from orchestrator.plan.document import quick_check as quick
from orchestrator.plan.document.schema import POLICY_SCHEMA, load_schema
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.model import Limits, Rate, Redact
from orchestrator.policy import file as policy_file
from orchestrator.policy.file import read_host_policy, read_policies, read_policy
from orchestrator.policy.parse import parse_policy
from tests.support.paths import POLICIES
from tests.unit.plan.document.test_schema import _properties

PROD = POLICIES / "prod.yaml"
INVALID = sorted((POLICIES / "invalid").glob("*.yaml"))


@pytest.mark.parametrize("case", INVALID, ids=lambda path: path.stem)
def test_an_invalid_policy_has_exactly_these_findings(
    case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code, place, words and hint are as recorded; and there is no policy then."""
    monkeypatch.chdir(case.parent)
    policy, findings = parse_policy(Path(case.name).read_bytes(), case.name)
    assert policy is None
    assert "\n".join(map(str, findings)) + "\n" == case.with_suffix(".txt").read_text()


def test_a_policy_means_this() -> None:
    """Base units, and every entry knows its place."""
    policy = read_policy(PROD)
    values = {name: ceiling.value for name, ceiling in policy.ceilings.items()}
    assert values == {
        "duration": 10_000_000_000,
        "events": 100,
        "rate": Rate(count=50, per_ns=1_000_000_000),
        "cpu": 0.01,
        "memory": 16 << 20,
        "probes": 8,
        "output": 1 << 20,
    }
    assert policy.user_strings == Redact(kind="truncate", size=8)
    assert (policy.max_runs, policy.owner) == (1, "storage-security")
    assert [entry.text for entry in policy.deny_symbols] == ["vfs_write", "sched:sched_switch"]
    assert str(policy.deny_symbols[1].position) == f"{PROD}:16:30"
    assert str(policy.ceilings["rate"].position) == f"{PROD}:8:9"


def test_every_limit_of_a_plan_has_a_ceiling() -> None:
    """A limit that is added to plans cannot be forgotten here; nor can an attach kind."""
    schema = load_schema(POLICY_SCHEMA)
    limits = set(load_schema()["properties"]["limits"]["properties"]) - {"at_cap"}
    assert set(schema["properties"]["limits"]["properties"]) == limits
    assert tuple(schema["$defs"]["kinds"]["items"]["enum"]) == ATTACH_KINDS


def test_the_schema_documents_itself() -> None:
    """Every property is described, and its examples and default fit it."""
    schema = load_schema(POLICY_SCHEMA)
    for path, rule, _ in _properties(schema):
        assert rule["description"].endswith("."), path
        for value in [*rule["examples"], *([rule["default"]] if "default" in rule else [])]:
            fits = value == [] or quick.accepts_data(value, rule, schema)  # []: as if left out
            assert fits, (path, value)


# ---------------------------------------------------------------- trust


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for the host's policy, in a directory as trusted as /etc/probeplan."""
    path = tmp_path / "probeplan" / "policy.yaml"
    path.parent.mkdir(mode=0o755)
    monkeypatch.setattr(policy_file, "HOST_POLICY", path)
    return path


def test_without_a_file_there_is_no_policy(host: Path) -> None:
    """Nor without its directory."""
    assert read_host_policy() is None
    host.parent.rmdir()
    assert read_policies() == ()


@pytest.mark.root
@pytest.mark.parametrize("mode", [0o400, 0o600, 0o644, 0o444, 0o755])
def test_a_file_that_root_alone_may_write_is_trusted(host: Path, mode: int) -> None:
    """Readers do not matter."""
    host.write_bytes(PROD.read_bytes())
    host.chmod(mode)
    found = read_host_policy()
    assert found is not None
    assert found.ceilings["events"].value == 100


def _refused(host: Path) -> str:
    with pytest.raises(HostError) as caught:
        read_policies()
    [finding] = caught.value.findings
    assert finding.code == "PP120"
    assert finding.position.file == str(host)
    return finding.message


@pytest.mark.root
@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o620])
def test_a_file_that_others_may_write_is_refused(host: Path, mode: int) -> None:
    """By its group or by anyone."""
    host.write_bytes(PROD.read_bytes())
    host.chmod(mode)
    assert f"is writable by users other than root (mode {mode:04o})" in _refused(host)


@pytest.mark.root
def test_a_file_of_another_user_is_refused(host: Path) -> None:
    """Who owns it may change its mode."""
    host.write_bytes(PROD.read_bytes())
    os.chown(host, 65534, 0)
    assert "belongs to user 65534, not to root" in _refused(host)


@pytest.mark.root
@pytest.mark.parametrize("change", [lambda d: d.chmod(0o775), lambda d: os.chown(d, 65534, -1)])
def test_a_directory_in_which_others_may_put_a_file_is_refused(host: Path, change) -> None:
    """They could replace the policy."""
    host.write_bytes(PROD.read_bytes())
    change(host.parent)
    assert str(host.parent) in _refused(host)


@pytest.mark.root
@pytest.mark.parametrize("kind", ["link", "dangling link", "directory", "pipe", "no directory"])
def test_what_is_no_file_is_refused_and_not_taken_for_missing(host: Path, kind: str) -> None:
    """A link leads out of the directory; opening a pipe must not wait."""
    match kind:
        case "link":
            host.symlink_to(PROD)
        case "dangling link":
            host.symlink_to("nowhere")
        case "directory":
            host.mkdir()
        case "pipe":
            os.mkfifo(host, 0o600)
            assert stat.S_ISFIFO(host.stat().st_mode)
        case "no directory":
            host.parent.rmdir()
            host.parent.write_text("")
    assert "the host's policy cannot be used" in _refused(host)


@pytest.mark.root
@pytest.mark.parametrize("text", [b"", b"kind: [", b"\xff", b"apiVersion: probeplan/v1\n"])
def test_an_invalid_policy_of_the_host_is_refused_and_not_passed_over(
    host: Path, text: bytes
) -> None:
    """Also an empty file: someone meant to write something."""
    host.write_bytes(text)
    with pytest.raises(HostError):
        read_policies()


@pytest.mark.root
def test_further_policies_hold_beside_the_hosts(host: Path, tmp_path: Path) -> None:
    """They never stand in its place; and one that is none is a mistake of the command line."""
    host.write_bytes(PROD.read_bytes())
    host.chmod(0o600)
    lax = tmp_path / "lax.yaml"
    lax.write_text("apiVersion: probeplan/v1\nkind: Policy\nlimits: {events: 1M}\n")
    assert [policy.file for policy in read_policies([lax])] == [str(host), str(lax)]
    with pytest.raises(PlanError):
        read_policies([tmp_path / "missing.yaml"])


# ---------------------------------------------------------------- the files that it names


@pytest.fixture
def lists(host: Path, tmp_path: Path) -> Path:
    """The host's policy names this folder's `signers` and `revoked`, which root alone may write."""
    folder = tmp_path / "above" / "lists"
    folder.parent.mkdir(mode=0o755)
    folder.mkdir(mode=0o755)
    for name in ("signers", "revoked"):
        (folder / name).write_text(f"{name}\n")
        (folder / name).chmod(0o644)
    names = f"signers: {folder}/signers, revoked: {folder}/revoked"
    host.write_text(
        f"apiVersion: probeplan/v1\nkind: Policy\nsignatures: {{required: true, {names}}}\n"
    )
    host.chmod(0o644)
    return folder


@pytest.mark.root
def test_the_signers_are_read_with_the_policy(lists: Path) -> None:
    policy = read_host_policy()
    assert policy is not None
    rules = policy.signatures
    assert rules is not None
    assert rules.lists is not None
    assert (rules.lists.signers, rules.lists.revoked) == (b"signers\n", b"revoked\n")
    assert (rules.lists.signers_file, rules.unreadable) == (f"{lists}/signers", "")
    assert (rules.required, rules.shipped) == (True, "signed")


def replace_by_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to(path.with_name("moved"))


@pytest.mark.root
@pytest.mark.parametrize("name", ["signers", "revoked"])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda file: file.unlink(), "cannot be read: No such file or directory"),
        (lambda file: file.chmod(0o666), "is writable by users other than root (mode 0666)"),
        (lambda file: os.chown(file, 65534, 0), "belongs to user 65534, not to root"),
        (lambda file: file.parent.chmod(0o777), "is writable by users other than root"),
        (lambda file: file.parent.parent.chmod(0o777), "is writable by users other than root"),
        (lambda file: os.chown(file.parent.parent, 65534, 0), "belongs to user 65534"),
        (replace_by_link, "cannot be read: Too many levels of symbolic links"),
        (lambda file: replace_by_link(file.parent), "cannot be read"),
        (lambda file: replace_by_link(file.parent.parent), "cannot be read"),
        (lambda file: (file.unlink(), os.mkfifo(file)), "is not a regular file"),
        (lambda file: os.truncate(file, (16 << 20) + 1), "it is larger than 16 MiB"),
    ],
)
def test_signers_that_others_could_have_written_stop_everything(
    lists: Path, name: str, change, why: str
) -> None:
    """A missing file is not an empty one. Folders above count too, since they could be renamed, but
    not those with the sticky bit that are root's, such as /tmp."""
    change(lists / name)
    with pytest.raises(HostError) as caught:
        read_host_policy()
    [finding] = caught.value.findings
    assert finding.code == "PP120"
    assert why in finding.message


@pytest.mark.root
def test_a_sticky_folder_above_is_as_good_as_one_that_root_alone_may_write(lists: Path) -> None:
    """There others cannot rename what is root's; in the folder itself they could add a file."""
    lists.parent.chmod(0o1777)
    assert read_host_policy() is not None
    os.chown(lists.parent, 65534, 0)  # whose owner can rename all in it
    with pytest.raises(HostError, match=r"above belongs to user 65534"):
        read_host_policy()
    os.chown(lists.parent, 0, 0)
    lists.chmod(0o1777)
    with pytest.raises(HostError, match=r"lists is writable by users other than root"):
        read_host_policy()


def test_a_further_policys_signers_may_belong_to_anyone_and_may_be_missing(tmp_path: Path) -> None:
    """As the policy itself; a run is refused then, and a linter warns."""
    signers = tmp_path / "signers"
    further = tmp_path / "further.yaml"
    further.write_text(
        f"apiVersion: probeplan/v1\nkind: Policy\nsignatures: {{signers: {signers}}}\n"
    )
    rules = read_policy(further).signatures
    assert rules is not None
    assert (rules.lists, rules.required) == (None, False)
    assert rules.unreadable == f"{signers} cannot be read: No such file or directory"
    os.mkfifo(signers)
    assert "it is not a regular file" in read_policy(further).signatures.unreadable
    signers.unlink()
    signers.write_text("ann\n")
    signers.chmod(0o666)
    assert read_policy(further).signatures.lists.signers == b"ann\n"


@pytest.mark.root
def test_the_environment_leads_to_no_other_policy(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a variable may be called."""
    host.write_bytes(PROD.read_bytes())
    host.chmod(0o600)
    for name in ("PROBEPLAN_POLICY", "PROBEPLAN_CONFIG", "XDG_CONFIG_HOME", "HOME"):
        monkeypatch.setenv(name, "/nonexistent")
    [policy] = read_policies()
    assert policy.file == str(host)


def test_every_limit_can_be_read_from_text() -> None:
    """The readers of limits know every attribute of Limits but at_cap."""
    known = {attribute for attribute, _ in LIMIT_READERS.values()}
    assert known == set(Limits.__dataclass_fields__) - {"at_cap"}
