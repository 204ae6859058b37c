"""Whatever a prepared plan depends on changes its name."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.backends.bcc.compiler import key
from orchestrator.plan.document.source import XZ_MAGIC
from orchestrator.run.warm import identity
from orchestrator.run.warm.identity import Request, describe_host, make_name

REQUEST = Request(
    content=b"plan",
    file="p.yaml",
    overrides={"settings": {"a": "1"}, "limits": {}},
    backend="auto",
    follow_children=False,
    policies=(("/etc/policy.yaml", b"policy"),),
)
HOST = {
    "proc/sys/kernel/random/boot_id": "b1\n",
    "proc/sys/kernel/osrelease": "6.12.0\n",
    "sys/kernel/notes": "build",
    "proc/modules": "ext4 100 2 - Live 0xffff0000\nnvme 50 1 ext4, Live 0xffff1000\n",
    "proc/self/status": "Name:\tx\nUid:\t0\nCapEff:\tff\nSeccomp:\t0\nVmPeak:\t1\n",
}
NAMESPACES = ("mnt", "pid", "user")


def a_host(root: Path, **changes: str) -> Path:
    """A tree with HOST's files, some of them changed."""
    for name in NAMESPACES:
        link = root / "proc/self/ns" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"{name}:[1]")
    for path, content in {**HOST, **changes}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    return root


def test_the_same_request_has_the_same_name() -> None:
    assert make_name(REQUEST) == make_name(replace(REQUEST))
    assert make_name(REQUEST).startswith("prepared-")


@pytest.mark.parametrize(
    "change",
    [
        {"content": b"plan "},
        {"file": "q.yaml"},
        {"overrides": {"settings": {"a": "2"}, "limits": {}}},
        {"overrides": {"settings": {}, "limits": {"a": "1"}}},
        {"backend": "bcc"},
        {"follow_children": True},
        {"policies": ()},
        {"policies": (("/etc/policy.yaml", b"policy2"),)},
        {"policies": (("/etc/policy.yaml", b"policy"), ("p", b""))},
        {"content": b"pla", "file": "np.yaml"},
    ],
    ids=str,
)
def test_another_request_has_another_name(change: dict[str, object]) -> None:
    assert make_name(replace(REQUEST, **change)) != make_name(REQUEST)  # type: ignore[arg-type]


def test_a_compiler_that_came_or_went_changes_the_name_but_for_bundles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`auto` may take another backend then."""
    bundle = replace(REQUEST, content=XZ_MAGIC)
    names = make_name(REQUEST), make_name(bundle)
    monkeypatch.setattr(key, "read_compiler_version", lambda: "absent")
    assert make_name(REQUEST) != names[0]
    assert make_name(bundle) == names[1]


@pytest.mark.parametrize(
    "change",
    [
        {"proc/sys/kernel/random/boot_id": "b2\n"},
        {"proc/sys/kernel/osrelease": "6.12.1\n"},
        {"sys/kernel/notes": "other build"},
        {"proc/modules": "ext4 100 2 - Live 0xffff0000\n"},
        {"proc/modules": HOST["proc/modules"].replace("0xffff1000", "0xffff2000")},
        {"proc/self/status": HOST["proc/self/status"].replace("CapEff:\tff", "CapEff:\tf0")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_kernel_boot_module_or_right_is_another_host(
    change: Mapping[str, str], tmp_path: Path
) -> None:
    usual = list(describe_host(a_host(tmp_path / "usual")))
    assert list(describe_host(a_host(tmp_path / "other", **change))) != usual


@pytest.mark.parametrize(
    "change",
    [
        {"proc/modules": HOST["proc/modules"].replace("100 2 -", "100 7 nvme,")},
        {"proc/self/status": HOST["proc/self/status"].replace("VmPeak:\t1", "VmPeak:\t9")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_changes_all_the_time_does_not_count(
    change: Mapping[str, str], tmp_path: Path
) -> None:
    usual = list(describe_host(a_host(tmp_path / "usual")))
    assert list(describe_host(a_host(tmp_path / "other", **change))) == usual


def test_another_source_of_probeplan_is_another_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = tmp_path / "package" / "module.py"
    module.parent.mkdir()
    module.write_text("a = 1\n")
    monkeypatch.setattr(identity, "_PACKAGE", module.parent)
    before = make_name(REQUEST)
    assert make_name(REQUEST) == before
    module.write_text("a = 12\n")
    assert make_name(REQUEST) != before
