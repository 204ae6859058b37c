"""Where the tests' inputs are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
DATA = TESTS / "data"
#: Recorded facts of kernels, NAME.facts.xz, of which four are shipped as profiles.
KERNELS = ROOT / "kernels"
GOLDEN = DATA / "golden"
PLAN_DATA = DATA / "plans"
POLICIES = DATA / "policies"
#: Programs whose calls are counted.
WORKLOADS = TESTS / "support" / "workload"
