from orchestrator.html_report.stack_trees import MOST_NODES, grow_tree
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
