"""Suggestions for misspelt names."""

from orchestrator.plan.nearest import find_nearest, suggest_name, suggest_or_list


def test_case_and_dashes_do_not_count() -> None:
    """Names that differ in these only are as near as can be."""
    assert find_nearest("Max-Open", ("max_open", "min_age")) == ("max_open",)


def test_what_is_far_from_every_name_gets_the_other_hint() -> None:
    """No suggestion is better than a misleading one."""
    assert (
        suggest_name("colour", ("attach", "emit"), "known: attach, emit") == "known: attach, emit"
    )
    assert suggest_name("emti", ("attach", "emit")) == "did you mean 'emit'?"


def test_several_near_names_are_offered_or_all_listed() -> None:
    """Up to three, the closest first; else the known names, sorted."""
    assert suggest_or_list("vfs_raed", ("vfs_read", "vfs_readv")) == (
        "did you mean 'vfs_read' or 'vfs_readv'?"
    )
    assert suggest_or_list("zzz", ("b", "a")) == "known here: a, b"
    assert suggest_or_list("zzz", ()) == ""


def test_an_endless_name_is_cut_before_it_is_compared() -> None:
    """The time that a comparison takes grows with the length."""
    assert find_nearest("emit" + "x" * 1_000_000, ("emit",)) == ()
