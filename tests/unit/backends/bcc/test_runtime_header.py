"""The first gap of each CPU, as the programs draw it (probeplan/runtime.h)."""

import re
import subprocess
from collections import Counter
from itertools import count
from pathlib import Path

from orchestrator.backends.bcc.compiler.key import HEADERS

_MAIN = """
#include <stdio.h>
#include <stdlib.h>
typedef unsigned long long u64;
#define PP_INLINE static inline
%s
int main(int argc, char **argv)
{
	u64 every = atoi(argv[1]);
	for (u64 one = 0; one < 2 * every; one++)
		for (u64 two = 0; two < 2 * every - 1; two++)
			printf("%%llu\\n", pp_first_gap(every, one, two));
	return 0;
}
"""


def test_first_gaps_have_the_equilibrium_distribution(tmp_path: Path) -> None:
    """Over all pairs of random numbers, P(k) is proportional to 2N - k, exactly."""
    text = (HEADERS / "include/probeplan/runtime.h").read_text()
    [function] = re.findall(r"^PP_INLINE u64 pp_first_gap.*?^}$", text, re.S | re.M)
    (tmp_path / "gap.c").write_text(_MAIN % function)
    subprocess.run(["gcc", "-o", tmp_path / "gap", tmp_path / "gap.c"], check=True)
    for sample in (2, 3, 10):
        drawn = subprocess.check_output([tmp_path / "gap", str(sample)], text=True).split()
        expected = {k: 2 * (2 * sample - k) for k in range(1, 2 * sample)}
        assert Counter(map(int, drawn)) == expected


def test_the_very_first_events_are_kept_at_the_right_rate() -> None:
    """With these first gaps every event of a CPU, from the first on, is kept with chance 1/N."""
    sample = 5
    largest = 2 * sample - 1
    chance = {k: (2 * sample - k) / (largest * sample) for k in range(1, largest + 1)}
    kept = [0.0] * 60
    for position in range(1, 60):
        from_later = sum(kept[position - gap] / largest for gap in range(1, largest + 1)
                         if position > gap)  # fmt: skip
        kept[position] = chance.get(position, 0.0) + from_later
    for position, _ in zip(range(1, 60), count(), strict=False):
        assert abs(kept[position] - 1 / sample) < 1e-12
