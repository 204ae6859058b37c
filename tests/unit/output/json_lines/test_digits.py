"""Distinct numbers are found without what numpy imports for masked arrays."""

import subprocess
import sys

import numpy as np
import pytest

from orchestrator.output.json_lines.digits import find_distinct


@pytest.mark.parametrize("values", [[], [7], [2, 2], [3, 1, 2, 1, 3, 3], [2**64 - 1, 0]])
def test_numbers_are_found_once_each_in_order(values: list[int]) -> None:
    numbers = np.array(values, dtype=np.uint64)
    assert find_distinct(numbers).tolist() == sorted(set(values))
    assert find_distinct(numbers.reshape(-1, 1)).tolist() == sorted(set(values))


def test_finding_them_imports_no_masked_arrays() -> None:
    code = (
        "import sys, numpy as np; from orchestrator.output.json_lines.digits import find_distinct\n"
        "find_distinct(np.arange(3, dtype=np.uint16)); print('numpy.ma' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
