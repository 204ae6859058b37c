"""What a name that is no plan's gets."""

from orchestrator.catalog.answers import hint_at_plans
from orchestrator.catalog.index import read_index
from tests.unit.catalog.entries import an_entry

SHIPPED = read_index()


def test_a_tools_name_gets_the_plans_that_answer_its_question() -> None:
    hint = hint_at_plans("memleak", SHIPPED)
    assert hint.startswith("the tool memleak answers the same question as\n")
    assert "'heap-outstanding': Which memory does a program not free" in hint
    assert "'kernel-outstanding': Which kernel memory is not freed" in hint


def test_one_plan_is_in_the_same_line() -> None:
    assert hint_at_plans("runqlat", SHIPPED) == (
        "the tool runqlat answers the same question as "
        "'run-queue-latency': How long do tasks wait for a CPU?"
    )


def test_words_get_the_plans_that_they_find() -> None:
    hint = hint_at_plans("memory leak", SHIPPED)
    assert hint.startswith("did you mean\n'")
    assert "heap-outstanding" in hint
    assert hint == hint_at_plans("memory-leak", SHIPPED)


def test_a_misspelt_name_gets_that_plan_alone() -> None:
    assert hint_at_plans("slow-oi", SHIPPED).startswith("did you mean 'slow-io': Which reads")


def test_many_are_not_all_listed_and_that_is_said() -> None:
    entries = [an_entry(f"disk-{number}") for number in range(9)]
    assert hint_at_plans("disk", entries).splitlines()[-1].startswith("and 6 more")


def test_nonsense_gets_the_way_to_the_list() -> None:
    assert hint_at_plans("qqqqzzzz", SHIPPED).startswith("`probeplan plans` lists all plans")
