from orchestrator.html_report.stack_trees import MOST_NODES, compare_trees, grow_tree
from tests.support.report_runs import cell, make_metric


def test_paths_share_their_outer_frames() -> None:
    metric = make_metric(
        "ways",
        [
            cell(3, kstack=["b+0x1", "a+0x1"]),
            cell(2, kstack=["c+0x1", "a+0x9"]),
            cell(1, comm="x", kstack=None),
        ],
    )
    tree = grow_tree(metric)
    assert tree is not None
    assert tree.nodes[:4] == [
        (-1, "all", 6),
        (0, "a_[k]", 5),
        (1, "b_[k]", 3),
        (1, "c_[k]", 2),
    ]
    assert (tree.paths, tree.omitted) == (3, 0)


def test_a_metric_without_stacks_has_no_tree() -> None:
    assert grow_tree(make_metric("calls", [cell(3, comm="a")])) is None


def test_the_smallest_frames_are_left_out_and_counted() -> None:
    cells = [cell(1, kstack=[f"f{number}"]) for number in range(MOST_NODES)]
    tree = grow_tree(make_metric("ways", [*cells, cell(9, kstack=["large"])]))
    assert tree is not None
    assert tree.nodes == [(-1, "all", MOST_NODES + 9), (0, "large_[k]", 9)]
    assert (tree.omitted, tree.least) == (MOST_NODES, 2)


def test_two_runs_are_one_tree_with_the_values_of_both() -> None:
    before = make_metric("ways", [cell(3, kstack=["b", "a"]), cell(2, kstack=["gone", "a"])])
    after = make_metric("ways", [cell(7, kstack=["b", "a"]), cell(4, kstack=["new"])])
    tree = compare_trees(before, after, scale=1.0)
    assert tree is not None
    assert tree.nodes == [
        (-1, "all", 5, 11),
        (0, "a_[k]", 5, 7),
        (1, "b_[k]", 3, 7),
        (1, "gone_[k]", 2, 0),
        (0, "new_[k]", 0, 4),
    ]
    assert (tree.paths, tree.omitted) == (3, 0)
    assert {path for path, _, _ in tree.changed[:2]} == {"a_[k];b_[k]", "new_[k]"}
    assert tree.changed[2] == ("a_[k];gone_[k]", 2, 0)


def test_the_paths_that_changed_most_are_those_of_rates() -> None:
    before = make_metric("ways", [cell(10, kstack=["same"]), cell(1, kstack=["grew"])])
    after = make_metric("ways", [cell(100, kstack=["same"]), cell(60, kstack=["grew"])])
    tree = compare_trees(before, after, scale=10.0)
    assert tree is not None
    assert [path for path, _, _ in tree.changed] == ["grew_[k]", "same_[k]"]


def test_a_compared_tree_has_no_more_nodes_than_it_may() -> None:
    before = make_metric("ways", [cell(9, kstack=["large"]), cell(1, kstack=["s"])])
    after = make_metric("ways", [cell(1, kstack=["t"]), cell(5, kstack=["middle"])])
    tree = compare_trees(before, after, scale=1.0, most=3)
    assert tree is not None
    assert [name for _, name, *_ in tree.nodes] == ["all", "large_[k]", "middle_[k]"]
    assert (tree.omitted, tree.least) == (2, 2)


def test_runs_without_stacks_have_no_tree() -> None:
    metric = make_metric("calls", [cell(3, comm="a")])
    assert compare_trees(metric, metric, scale=1.0) is None
