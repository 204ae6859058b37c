"""Which packages, which files of them, and what the cache promises."""

import re
from pathlib import Path

import pytest

from orchestrator.lab import KERNELS, LabError, fetch
from orchestrator.lab.apt import MIRROR_VARIABLE, mirror
from orchestrator.lab.kernels import ALL_KERNELS, kept_as, newest_release

PUBLISHED = frozenset(
    f"linux-image-{release}"
    for release in (
        *("5.10.0-9-amd64", "5.10.0-32-amd64", "5.10.0-46-rt-amd64", "5.10.0-46-cloud-amd64"),
        *("6.1.0-47-amd64", "6.1.0-50-amd64", "6.1.0-51-amd64-unsigned", "6.1-amd64"),
        *("6.12.90+deb12-amd64", "6.12.90+deb12.1-amd64", "6.12.88+deb12-amd64", "6.12.99-dbg"),
        *(
            "6.1.0-51-arm64",
            "6.12.95+deb12-arm64",
            "6.12.95+deb12-rt-arm64",
            "6.1.0-52-cloud-arm64",
        ),
        *("7.0.4+deb13-amd64", "7.10.1+deb13-amd64", "7.9.9+deb13-amd64", "amd64"),
    )
)


@pytest.mark.parametrize(
    ("name", "release"),
    [
        ("5.10", "5.10.0-32-amd64"),
        ("6.1", "6.1.0-50-amd64"),
        ("6.12", "6.12.90+deb12.1-amd64"),
        ("7.x", "7.10.1+deb13-amd64"),
        ("6.1-arm64", "6.1.0-51-arm64"),
        ("6.12-arm64", "6.12.95+deb12-arm64"),
    ],
)
def test_newest_stock_release_of_each_series(name: str, release: str) -> None:
    assert newest_release(PUBLISHED, ALL_KERNELS[name].release) == release


def test_suite_without_the_series_has_no_release() -> None:
    assert newest_release(frozenset({"linux-image-amd64"}), KERNELS["6.1"].release) is None


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("./boot/vmlinuz-6.1.0-50-amd64", "vmlinuz"),
        ("./boot/config-6.1.0-50-amd64", "config"),
        ("./usr/lib/modules/7.3.4+deb13-amd64/vmlinuz", "vmlinuz"),
        ("./usr/lib/modules/7.3.4+deb13-amd64/modules.builtin", "modules.builtin"),
        ("./lib/modules/6.1.0-50-amd64/kernel/fs/9p/9p.ko", "kernel/fs/9p/9p.ko"),
        ("./lib/modules/6.1.0-50-amd64/kernel/drivers/net/veth.ko", "kernel/drivers/net/veth.ko"),
        ("./lib/modules/6.1.0-50-amd64/kernel/drivers/net/ethernet/e.ko", None),
        ("./lib/modules/6.1.0-50-amd64/kernel/sound/snd.ko", None),
        ("./usr/share/doc/linux-base/vmlinuz", None),
    ],
)
def test_files_of_a_package_that_are_kept(path: str, place: str | None) -> None:
    assert kept_as(path) == place


def test_unknown_kernel_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=re.escape("no kernel `4.19`: known are 5.10, 6.1")):
        fetch("4.19", cache=tmp_path)


def test_cached_kernel_needs_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no apt-get there
    folder = tmp_path / "6.1.0-50-amd64"
    folder.mkdir()
    (folder / "vmlinux").touch()
    (tmp_path / "6.1").symlink_to(folder.name)
    kernel = fetch("6.1", cache=tmp_path)
    assert (kernel.name, kernel.release, kernel.directory) == ("6.1", folder.name, folder)


def test_failed_fetch_says_why_for_each_suite_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MIRROR_VARIABLE, f"file://{tmp_path}/no-mirror")
    with pytest.raises(LabError) as caught:
        fetch("5.10", cache=tmp_path)
    for suite in KERNELS["5.10"].suites:
        assert f"{suite}: `apt-get` failed" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_host_without_debian_sources_is_told_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\necho 'Ubuntu file:///somewhere/'\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(MIRROR_VARIABLE, raising=False)
    with pytest.raises(LabError, match=MIRROR_VARIABLE):
        mirror("bookworm")
