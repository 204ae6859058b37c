"""Searching: all words match, exact names first, the nearest where nothing matches."""

import pytest

from orchestrator.catalog.areas import AREAS
from orchestrator.catalog.entry import CatalogEntry
from orchestrator.catalog.index import read_index
from orchestrator.catalog.search import find_plans, suggest_plans
from tests.unit.catalog.entries import an_entry

SHIPPED = read_index()


def names(entries: list[CatalogEntry]) -> list[str]:
    return [entry.name for entry in entries]


@pytest.mark.parametrize(
    ("tool", "plan"),
    [
        ("runqlat", "run-queue-latency"),
        ("opensnoop", "opens"),
        ("biolatency", "block-latency"),
        ("execsnoop", "execs"),
        ("iosnoop", "block-requests"),
        ("profile", "cpu-stacks"),
        ("trace", "trace-calls"),
        ("filelife", "file-life"),
    ],
)
def test_a_tools_name_finds_its_plan_first(tool: str, plan: str) -> None:
    for called in (tool, f"{tool}-bpfcc", f"{tool}.bt", tool.upper()):
        assert names(find_plans([called], SHIPPED))[0] == plan


def test_memleak_finds_both_that_answer_it() -> None:
    assert set(names(find_plans(["memleak"], SHIPPED))) == {
        "kernel-outstanding",
        "heap-outstanding",
    }


def test_every_plan_comes_first_by_its_name_and_is_found_by_its_question() -> None:
    for entry in SHIPPED:
        assert names(find_plans([entry.name], SHIPPED))[0] == entry.name
        assert entry.name in names(find_plans([entry.question], SHIPPED))


def test_every_equivalent_finds_its_plan_before_all_that_only_mention_it() -> None:
    for entry in SHIPPED:
        for tool in entry.equivalents:
            found = find_plans([tool], SHIPPED)
            same = sum(tool in one.equivalents or tool == one.name for one in SHIPPED)
            assert entry.name in names(found)[:same]


def test_all_words_have_to_match() -> None:
    entries = [an_entry("a", "Which disks are slow?"), an_entry("b", "Which disks are full?")]
    assert names(find_plans(["disk"], entries)) == ["a", "b"]
    assert names(find_plans(["slow", "disks"], entries)) == ["a"]
    assert names(find_plans(["slow disk"], entries)) == ["a"]
    assert find_plans(["slow", "network"], entries) == []


def test_words_that_any_question_has_are_passed_over() -> None:
    entries = [an_entry("a", "Who kills processes?")]
    assert names(find_plans(["what is it that kills my process?"], entries)) == ["a"]


def test_case_plural_and_punctuation_do_not_count() -> None:
    assert names(find_plans(["FILES?"], [an_entry()])) == ["opens"]
    assert names(find_plans(["file"], [an_entry()])) == ["opens"]


def test_a_label_comes_before_a_word_of_the_question_and_that_before_a_probed_point() -> None:
    entries = [
        an_entry("point", "Q?", points=("tracepoint:disk:issue",)),
        an_entry("question", "How slow are disks?"),
        an_entry("label", "Q?", tags=("disk",)),
        an_entry("part", "Q?", points=("function:add_disk",)),
        an_entry("tool", "Q?", equivalents=("disk",)),
    ]
    assert names(find_plans(["disk"], entries)) == ["tool", "label", "question", "point", "part"]


@pytest.mark.parametrize("word", ["network", "scheduler", "memory", "files", "security"])
def test_the_heading_of_an_area_finds_all_of_it(word: str) -> None:
    [area] = [area for area, heading in AREAS.items() if heading.lower() == word]
    found = find_plans([word], SHIPPED)
    assert {entry.name for entry in SHIPPED if entry.area == area} <= set(names(found))


def test_plans_are_found_by_what_they_probe() -> None:
    found = names(find_plans(["sched_switch"], SHIPPED))
    assert {"off-cpu-time", "context-switches"} <= set(found)
    assert "opens" in names(find_plans(["syscall:openat"], SHIPPED))


def test_a_short_word_is_not_found_within_another() -> None:
    entries = [an_entry("block", "Which blocks are read?"), an_entry("locks", "Who waits?")]
    assert names(find_plans(["lock"], entries)) == ["locks"]
    assert names(find_plans(["alloc"], [an_entry("a", "Q?", points=("entry:kmalloc",))])) == ["a"]


def test_without_words_all_are_listed_in_their_order() -> None:
    assert find_plans([], SHIPPED) == list(SHIPPED)
    assert find_plans([" ", "?"], SHIPPED) == list(SHIPPED)


@pytest.mark.parametrize(
    ("words", "plan"),
    [
        (["memry", "leak"], "kernel-outstanding"),
        (["opensnop"], "opens"),
        (["runqlatt"], "run-queue-latency"),
        (["disk", "xyzzyq"], "block-latency"),
    ],
)
def test_misspelt_and_unknown_words_get_the_nearest_plans(words: list[str], plan: str) -> None:
    assert find_plans(words, SHIPPED) == []
    assert plan in names(suggest_plans(words, SHIPPED, 8))


def test_nothing_is_suggested_for_nonsense() -> None:
    assert suggest_plans(["qqqqzzzz", "\x1b[31m", "(.*"], SHIPPED) == []


def test_a_word_is_no_pattern() -> None:
    assert find_plans(["("], SHIPPED) == []
    assert find_plans([".*"], SHIPPED) == []


@pytest.mark.parametrize(
    ("symptom", "plan"),
    [
        ("latency disk", "block-latency"),
        ("cpu", "cpu-stacks"),
        ("memory growth", "heap-outstanding"),
        ("dns", "name-lookups"),
        ("who killed", "kills"),
        ("crash", "exits"),
        ("lock", "lock-contention"),
        ("mutex", "futex-waits"),
        ("packet loss", "packet-drops"),
        ("flame graph", "cpu-stacks"),
    ],
)
def test_the_words_of_an_incident_find_a_plan(symptom: str, plan: str) -> None:
    assert plan in names(find_plans([symptom], SHIPPED))
