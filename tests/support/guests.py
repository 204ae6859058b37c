"""pytest's way into guests: tests whose case runs in a booted kernel, one boot for them all.

    @pytest.mark.guest("tests.guest.basics:count_getppid", calls=2000)
    def test_each_call_is_counted(guest: CaseResult) -> None:
        assert guest.result() == 2000

The first such test boots its kernel, in two machines side by side, and runs there the cases of all
selected tests; the others look up their own result. `prepare="module:function"` and `modules=[…]`
are as in guest_cases.Case; other keywords are the case's. A case that raised fails its test; a
lost machine is an error of the test it was lost in, and of no other.

Kernels: 6.1, or those that PROBEPLAN_MATRIX lists (`PROBEPLAN_MATRIX=5.10,6.12,7.x`). For a
separate machine a test takes the fixture `guest_kernel` and calls run_in_guest.

Tests marked `arm64` run in the lanes of arm64 kernels, and no others do: their guests cannot run
this host's programs. Each of these kernels has one machine, and they run side by side.
"""

import importlib
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.lab import GuestLost, Kernel, fetch
from orchestrator.lab.guest import is_foreign
from orchestrator.lab.kernels import ALL_KERNELS, FOREIGN_KERNELS
from tests.support.guest_cases import Case, CaseResult, GuestCases

MATRIX = "PROBEPLAN_MATRIX"
ORDINARY = "6.1"
MACHINES = 2  # side by side: each keeps one CPU of this host busy
TIMEOUT_SECONDS = 2400  # the first test of a kernel waits for all cases in it
Results = dict[str, CaseResult] | GuestLost


def lanes() -> list[str]:
    """The kernels of this test run."""
    wanted = os.environ.get(MATRIX, ORDINARY).replace(",", " ").split()
    if unknown := sorted(set(wanted) - set(ALL_KERNELS)):
        raise pytest.UsageError(f"{MATRIX} names {unknown}: known are {', '.join(ALL_KERNELS)}")
    return wanted


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per kernel."""
    if "guest_kernel" in metafunc.fixturenames:
        one = metafunc.definition.get_closest_marker("one_kernel") is not None
        kernels = lanes()[:1] if one else lanes()
        metafunc.parametrize("guest_kernel", kernels, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Lets `-m guest` select every test that boots, and gives these time to."""
    if elsewhere := [item for item in items if _is_elsewhere(item)]:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in elsewhere]
    for item in items:
        if "guest_kernel" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))
            if item.get_closest_marker("guest") is None:
                item.add_marker("guest")


def _is_elsewhere(item: pytest.Item) -> bool:
    """Whether it asks for the ordinary kernel in another one's lane, or the other way round; or for
    another architecture than the lane's."""
    callspec = getattr(item, "callspec", None)
    lane = callspec.params.get("guest_kernel") if callspec else None
    is_for_arm64 = item.get_closest_marker("arm64") is not None
    if lane is not None and is_for_arm64 != (lane in FOREIGN_KERNELS):
        return True
    named = item.get_closest_marker("kernels")
    if named is not None and lane not in named.args:
        return True
    unwanted = "other_kernels" if lane == ORDINARY else "usual_kernel"
    return lane is not None and item.get_closest_marker(unwanted) is not None


@pytest.fixture(scope="session")
def guest_kernel(request: pytest.FixtureRequest) -> Kernel:
    """The kernel of this lane, fetched into the cache if need be."""
    return fetch(request.param)


@pytest.fixture(scope="session")
def guest_results(
    request: pytest.FixtureRequest,
    guest_kernel: Kernel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Results:
    """All results in this kernel, or the loss of a machine that never got to a case."""
    if is_foreign(guest_kernel):
        return _foreign_results(request, tmp_path_factory)[guest_kernel.name]
    _import_what_threads_need()
    cases = list(_cases(request.session, guest_kernel.name))
    parts = [cases[number::MACHINES] for number in range(MACHINES)]
    return _run_machines(guest_kernel, parts, tmp_path_factory)


_FOREIGN = pytest.StashKey[dict[str, Results]]()


def _foreign_results(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Results]:
    """The results in all kernels of another architecture, by the kernel's name: a machine each."""
    _import_what_threads_need()
    stash = request.config.stash
    if _FOREIGN not in stash:
        wanted = {name: list(_cases(request.session, name)) for name in FOREIGN_KERNELS}
        cases = {name: one for name, one in wanted.items() if one}

        def run(name: str) -> Results:
            return _run_machines(fetch(name), [cases[name]], tmp_path_factory)

        with ThreadPoolExecutor() as pool:
            stash[_FOREIGN] = dict(zip(cases, pool.map(run, cases), strict=True))
    return stash[_FOREIGN]


def _import_what_threads_need() -> None:
    """What the cases' `prepare` import: in Python 3.11 two threads that parse modules at the same
    time may fail (SystemError: AST constructor recursion depth mismatch)."""
    for name in ("bcc.attach.attaching", "bcc.compiler.checked", "tracefs.backend"):
        importlib.import_module(f"orchestrator.backends.{name}")


def _run_machines(
    kernel: Kernel, parts: list[list[Case]], tmp_path_factory: pytest.TempPathFactory
) -> Results:
    """The results of all parts of the cases, each in a machine of this kernel."""
    shares = [tmp_path_factory.mktemp(f"guest-{kernel.name}-") for _ in parts]
    machines = [GuestCases(kernel, share) for share in shares]
    try:
        with ThreadPoolExecutor(len(machines)) as pool:
            results = list(pool.map(GuestCases.run, machines, parts))
    except GuestLost as lost:
        return lost
    for loss in (loss for machine in machines for loss in machine.lost_boots):
        warnings.warn(f"{kernel.name} was booted again: {loss}", stacklevel=1)
    return {name: result for part in results for name, result in part.items()}


@pytest.fixture
def guest(request: pytest.FixtureRequest, guest_results: Results) -> CaseResult:
    """The result of this test's case."""
    if isinstance(guest_results, GuestLost):
        raise guest_results
    found = guest_results[request.node.nodeid]
    if found.outcome == "unsupported":
        pytest.skip(f"kernel {found.kernel.release} lacks {found.text}")
    if found.lost is not None:
        raise found.lost
    return found


def _cases(session: pytest.Session, kernel: str) -> Iterator[Case]:
    """The cases that the selected tests want in this kernel."""
    for item in session.items:
        marker = item.get_closest_marker("guest")
        callspec = getattr(item, "callspec", None)
        if marker and marker.args and callspec and callspec.params["guest_kernel"] == kernel:
            kwargs = dict(marker.kwargs)
            yield Case(
                id=item.nodeid,
                call=marker.args[0],
                prepare=kwargs.pop("prepare", None),
                modules=tuple(kwargs.pop("modules", ())),
                kwargs=kwargs,
            )
