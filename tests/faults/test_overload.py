"""Under overload nothing goes away without a trace."""

from pathlib import Path

import pytest

from tests.faults.overload import overload

CALLS = 20_000


@pytest.mark.parametrize("backend", ["bcc", "tracefs"])
def test_the_accounts_of_an_overloaded_run_balance(
    backend: str, tmp_path: Path, load: Path
) -> None:
    """Writers on every CPU, four probes, buffers far too small: what fired is what was done, every
    event has its end, and the run says that it is not complete."""
    print(f"{backend}: {overload(backend, tmp_path, load, CALLS)}")
