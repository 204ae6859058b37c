"""Paths of cgroups as runtimes make them, under both drivers and both versions of cgroups."""

import pytest

from orchestrator.kernel.containers.cgroup_path import ContainerPath, parse_container_path

ID, OTHER = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970", "ab" * 32
POD = "0a1b2c3d-89ab-4cde-8f01-23456789abcd"
OF_SYSTEMD = POD.replace("-", "_")
PODS = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{OF_SYSTEMD}.slice"
USER = "/user.slice/user-1000.slice/user@1000.service"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"/system.slice/docker-{ID}.scope", ContainerPath("docker", ID)),
        (f"/docker/{ID}", ContainerPath("docker", ID)),
        (f"/docker/{ID}/init/inner", ContainerPath("docker", ID)),
        (f"/{ID}", ContainerPath("container", ID)),
        (f"{PODS}/cri-containerd-{ID}.scope", ContainerPath("containerd", ID, pod=POD)),
        (f"{PODS}/crio-{ID}.scope/container", ContainerPath("cri-o", ID, pod=POD)),
        (f"{PODS}/docker-{ID}.scope", ContainerPath("docker", ID, pod=POD)),
        (f"/kubepods/besteffort/pod{POD}/{ID}", ContainerPath("kubernetes", ID, pod=POD)),
        (f"/kubepods/pod{POD}/crio-{ID}", ContainerPath("cri-o", ID, pod=POD)),
        (f"/kubepods/pod{POD.replace('-', '')}/{ID}",
         ContainerPath("kubernetes", ID, pod=POD.replace("-", ""))),  # a static pod
        (f"/system.slice/kubepods-pod{OF_SYSTEMD}.slice:cri-containerd:{ID}",
         ContainerPath("containerd", ID, pod=POD)),
        (f"/machine.slice/libpod-{ID}.scope/container", ContainerPath("podman", ID)),
        (f"/libpod_parent/libpod-{ID}", ContainerPath("podman", ID)),
        (f"/system.slice/nerdctl-{ID}.scope", ContainerPath("nerdctl", ID)),
        ("/lxc.payload.web", ContainerPath("lxc", "web", named=True)),
        ("/lxc/web/system.slice/cron.service", ContainerPath("lxc", "web", named=True)),
        ("/machine.slice/machine-a\\x2dweb.scope/payload",
         ContainerPath("nspawn", "a-web", named=True)),
        ("/machine.slice/systemd-nspawn@web.service/payload/init.scope",
         ContainerPath("nspawn", "web", named=True)),
    ],
)  # fmt: skip
def test_the_container_of_a_path(path: str, expected: ContainerPath) -> None:
    assert parse_container_path(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/system.slice/docker.service", "/user.slice/user-1000.slice/session-2.scope"),
        *(f"/system.slice/docker-{ID[:-1]}.scope", f"/system.slice/docker-{ID}0.scope"),
        f"/machine.slice/libpod-conmon-{ID}.scope",  # it starts the container, and is not in it
        "/lxc.monitor.web",
        "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope",  # a virtual machine
        PODS,
    ],
)
def test_a_path_of_none(path: str) -> None:
    assert parse_container_path(path) is None


def test_of_nested_containers_the_outermost_counts() -> None:
    found = parse_container_path(f"/docker/{ID}/docker/{OTHER}")
    assert found == ContainerPath("docker", ID)


def test_what_others_than_root_may_have_named_is_marked() -> None:
    """A user can make a cgroup with the id of any container in its path."""
    rootless = parse_container_path(f"{USER}/user.slice/libpod-{ID}.scope/container")
    assert rootless == ContainerPath("podman", ID, delegated=True, user=1000)
    of_service = parse_container_path(f"/system.slice/runner.service/docker/{ID}")
    assert of_service == ContainerPath("docker", ID, delegated=True)
