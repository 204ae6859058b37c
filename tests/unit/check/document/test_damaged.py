"""Checks that are damaged at random are refused with findings, or read; nothing else happens."""

import random

from orchestrator.check.document.load import inspect_check
from orchestrator.plan.document.parse import Document, parse_document
from tests.support.checks import HEAD, check_text, inspect
from tests.support.plans import damaged
from tests.unit.check.document.test_fillings import PARAMS, WORKLOAD
from tests.unit.check.document.test_gates import GATES

EACH = "{that: 'call.calls[number == SYS_read] / ops <= 1.1 * baseline', of: max, each: true}"
TEXTS = [
    *(HEAD + text for text in GATES.values()),
    check_text("write.calls == 0", EACH, workload=WORKLOAD, before=PARAMS),
]
#: What expectations consist of, also where it has no place.
TOKENS = (
    *("write.calls", "call.calls", "write.sizes.p99", "share", "ops", "baseline", "workload.wall"),
    *("params.x", "SYS_read", "PAGE_SIZE", "number", "comm", "1", "0.5", "'text'", "true", "s"),
    *("+", "-", "*", "/", "//", "%", "<=", "==", "<", "!=", "in", "and", "or", "not", "if", "else"),
    *("(", ")", "[", "]", ",", ".", "max(", "total(", "1e-999999999", "elapsed"),
)


def test_a_damaged_check_has_findings_or_is_one() -> None:
    chance = random.Random(7)  # noqa: S311  # a test's own dice
    documents = [parse_document(text.encode(), "c.yaml")[0] for text in TEXTS]
    read = 0
    for _ in range(80):
        data = damaged(chance.choice(documents).data, chance)
        check, findings = inspect_check(
            Document(data=data, places={}, file="c.yaml", source=b""), []
        )
        assert (check is None) == any(finding.severity == "error" for finding in findings)
        read += check is not None
    assert 0 < read < 40


def test_expectations_at_random_have_findings_or_are_ones() -> None:
    chance = random.Random(8)  # noqa: S311  # a test's own dice
    for _ in range(30):
        texts = []
        for _ in range(20):
            tokens = chance.choices(TOKENS, k=chance.randint(1, 9))
            texts.append('"' + " ".join(tokens) + ' <= 5"')
        check, findings = inspect(check_text(*texts))
        assert (check is None) == any(finding.severity == "error" for finding in findings)
        assert all(finding.position.line for finding in findings)


def test_a_list_whose_items_were_refused_has_no_other_findings() -> None:
    text = check_text("write.calls / ops <= 1", workload="run: [make, $(ops)]\nops: [10, x]")
    _, findings = inspect(text)
    assert [finding.code for finding in findings] == ["PP032"]
