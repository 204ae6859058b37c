"""Folded stacks, as flame graph tools read them."""

from typing import Any

from orchestrator.output.folded import fold_stacks

USER = ["inner+0x4 (app)", "main+0x2f (app)", "0x7f12 (libc.so.6)"]
KERNEL = ["jbd2_start+0x5c [jbd2]", "vfs_read+0x1a", "0xffffffff81000010"]
MAIN = {"ustack": ["main+0x1 (x)"]}


def record(*cells: tuple[dict[str, Any], int], name: str = "calls", kind: str = "count") -> Any:
    shown = [{"key": key, "other": not key, "value": n, "count": n} for key, n in cells]
    return {"probe": "read", "metric": name, "kind": kind, "cells": shown}


def test_frames_run_from_the_outermost_inwards_and_the_kernels_come_last() -> None:
    """Whatever the order of the key's parts, and what the plan calls them."""
    line = "app;[libc.so.6];main;inner;[unknown]_[k];vfs_read_[k];jbd2_start_[k] 42"
    for names in (("kstack", "ustack"), ("start.kstack", "start.ustack"), ("below", "above")):
        key = {names[0]: KERNEL, "comm": "app", names[1]: USER}
        assert list(fold_stacks([record((key, 42))])) == [line]


def test_paths_that_differ_in_offsets_only_are_one() -> None:
    one, other = ({"ustack": [f"inner+{at} (app)", "main+0x2f (app)"]} for at in ("0x4", "0x9"))
    assert list(fold_stacks([record((one, 3), (other, 4))])) == ["main;inner 7"]


def test_lost_stacks_and_the_cell_other_keep_their_values() -> None:
    lines = fold_stacks([record((MAIN, 2), ({"ustack": None}, 3), ({}, 4))])
    assert list(lines) == ["main 2", "[lost] 3", "(other) 4"]


def test_nothing_in_a_name_ends_a_frame_or_a_line() -> None:
    key = {"comm": "a;b\nc", "ustack": ["Lambda;1+0x4 (x)"]}
    assert list(fold_stacks([record((key, 1))])) == ["a:b c;Lambda:1 1"]


def test_several_metrics_are_told_apart_and_those_without_stacks_left_out() -> None:
    """So are the least and the largest of something: they do not add up."""
    timed, most = record((MAIN, 900), name="time", kind="sum"), record((MAIN, 5), kind="max")
    plain = record(({"comm": "x"}, 1), name="n")
    lines = fold_stacks([record((MAIN, 1)), plain, timed, most])
    assert list(lines) == ["read.calls;main 1", "read.time;main 900"]
    assert list(fold_stacks([plain, most])) == []
