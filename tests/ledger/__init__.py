"""The ledger, proved row by row: which test drives a row on purpose, with counts known exactly.

Files are under tests/. `same`: the one test runs on both backends. test_table.py sees to it that
every count of accounting/vocabulary.py is here and that every test named is there.

row                 | bcc                                            | tracefs
------------------- | ---------------------------------------------- | ----------------------------
fired               | faults/test_overload.py::test_the_accounts_of_an_overloaded_run_balance | same
expired             | ledger/test_rows.py::test_what_comes_after_the_deadline_is_expired | same
not_target          | ledger/test_rows.py::test_other_tasks_are_not_target | same
not_target          | ledger/test_rows.py::test_other_tasks_at_a_tracepoint_are_unknown_to_tracefs | same
filtered            | ledger/test_rows.py::test_what_where_refuses_is_filtered | same
sampled_out         | ledger/test_rows.py::test_what_sampling_leaves_out_is_sampled_out | same
unpaired            | ledger/test_rows.py::test_returns_without_their_entry_are_unpaired | same
map_full            | ledger/test_rows.py::test_calls_without_room_are_map_full_and_make_a_run_incomplete | same
too_deep            | live/run/test_pairs.py::test_calls_deeper_than_the_kernel_follows_make_a_run_incomplete | same
abandoned           | live/run/test_pairs.py::test_a_call_that_was_left_by_longjmp_meets_no_later_return | same
execed              | live/run/test_pairs.py::test_a_call_in_which_the_program_is_replaced_does_not_return | same
exited              | ledger/test_rows.py::test_calls_that_end_with_their_thread_leave_their_room | same
accepted            | live/run/test_counts.py::test_user_functions_are_counted_with_their_arguments_and_results | same
in_flight           | ledger/test_rows.py::test_calls_that_are_open_at_the_end_are_in_flight | same
kernel_missed       | ledger/test_guest.py::test_returns_without_room_are_kernel_missed_by_bcc | ledger/test_guest.py::test_returns_without_room_are_kernel_missed_by_tracefs
kernel_missed       | live/bcc/test_misses.py::test_misses_are_known_where_the_kernel_counts_all_there_can_be | ledger/test_guest.py::test_returns_without_room_are_kernel_missed_by_tracefs
recursion_misses    | ledger/test_rows.py::test_programs_that_are_passed_over_are_told | ledger/test_rows.py::test_other_tasks_are_not_target
rate_limited        | live/run/test_counts.py::test_the_rate_is_exact | same
over_cap            | live/run/test_counts.py::test_a_muted_cap_is_exact | same
ring_lost           | ledger/test_rows.py::test_records_without_room_are_ring_lost_and_make_a_run_incomplete | same
ring_lost           | ledger/test_exit.py::test_a_run_that_lost_records_ends_with_4_unless_allowed | same
recorded            | live/run/test_counts.py::test_system_calls_are_counted_by_tracepoint_and_as_pairs | same
metric counted      | ledger/test_rows.py::test_a_metrics_own_where_is_its_own_row | same
metric filtered     | ledger/test_rows.py::test_a_metrics_own_where_is_its_own_row | same
metric map_full     | ledger/test_rows.py::test_keys_without_room_go_to_other_and_lose_nothing | same
metric map_busy     | ledger/test_rows.py::test_updates_that_the_kernel_refuses_are_map_busy | unit/backends/tracefs/counts/test_accounts.py::test_a_sum_loses_what_finds_no_room_in_its_table
metric ring_lost    | ledger/test_rows.py::test_records_without_room_are_ring_lost_and_make_a_run_incomplete | same
faulted             | ledger/test_rows.py::test_reads_that_fail_are_faulted_or_unknown | same
truncated           | ledger/test_rows.py::test_strings_that_are_cut_are_truncated | same
divisions_by_zero    | ledger/test_rows.py::test_divisions_by_zero_are_counted | same
children_lost       | live/bcc/test_bounds.py::test_children_that_find_no_room_are_counted | live/tracefs/test_counts.py::test_a_command_and_its_children_are_followed
lost_unattributed         | ledger/test_rows.py::test_what_several_events_lose_together_is_told_as_a_whole | same

Spans and what is outstanding have separate rows: tests/live/run/test_spans.py. So have stacks:
tests/live/symbols/test_stacks.py and test_taking.py.

Not to be driven on purpose: a map's lock held on the same CPU (map_busy), and a program of ours
that fires its own probe (recursion_misses). There the reading is tested: another error of the same
update, and the kernel's counter given.
"""  # noqa: E501  # a table
