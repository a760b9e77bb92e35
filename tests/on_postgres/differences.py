"""What tests do not hold with stores in PostgreSQL, by name and with the reason: they are skipped there.

`docs/guides/postgres.md` tells users the same. A name without `[` is of all its cases.
"""

from __future__ import annotations

from collections.abc import Mapping

DIFFERENCES: Mapping[str, tuple[str, ...]] = {
    "forget() is refused there": (
        "tests/across_rows/test_folds_applied_once.py::test_a_forgotten_row_is_not_in_the_value_any_more",
        "tests/across_rows/test_folds_applied_once.py::test_nothing_is_left_of_a_forgotten_user",
        "tests/store/test_forget.py::test_a_deletion_trigger_runs_and_its_copy_of_the_row_goes",
        "tests/store/test_forget.py::test_a_fit_under_way_with_its_label_is_dropped_and_made_without",
        "tests/store/test_forget.py::test_a_fold_goes_with_its_entity",
        "tests/store/test_forget.py::test_a_folded_row_is_taken_out_of_the_value_and_of_all_checkpoints",
        "tests/store/test_forget.py::test_a_reader_holds_it_up_and_then_it_goes_on",
        "tests/store/test_forget.py::test_a_row_that_was_deleted_before_is_forgotten_too",
        "tests/store/test_forget.py::test_a_run_under_way_cannot_bring_it_back",
        "tests/store/test_forget.py::test_an_index_from_before_is_not_kept_on_disk_any_more",
        "tests/store/test_forget.py::test_killed_in_the_middle_it_is_finished_at_the_next_opening",
        "tests/store/test_forget.py::test_no_byte_of_a_row_is_left_in_the_folder",
        "tests/store/test_forget.py::test_outputs_of_all_versions_go_also_of_a_component_that_is_away",
        "tests/store/test_forget.py::test_refit_asks_for_a_fit_that_begins_where_nothing_had_learned_from_it",
        "tests/store/test_forget.py::test_several_are_forgotten_together_and_others_stay",
        "tests/store/test_forget.py::test_what_a_failed_fit_told_of_it_is_forgotten",
        "tests/store/test_forget.py::test_what_acts_once_is_not_called_again_by_it",
        "tests/store/test_forget.py::test_what_learned_from_it_is_named_and_stays_named",
        "tests/store/test_forget.py::test_what_lies_in_free_space_of_the_file_is_forgotten_too",
        "tests/store/test_forget.py::test_what_looked_it_up_keeps_no_memo_and_no_failure_of_it",
        "tests/store/test_forget_elsewhere.py::test_a_store_that_is_served_forgets_for_who_steers_it",
        "tests/store/test_forget_elsewhere.py::test_the_command_leaves_no_byte",
        "tests/store/test_refs.py::test_a_row_that_names_it_twice_goes_once",
        "tests/promises/test_faults.py::test_p1_p2_p8_a_process_killed_at_any_point_changes_nothing[forget.erased]",
        "tests/promises/test_faults.py::test_p1_p2_p8_a_process_killed_at_any_point_changes_nothing[forget.noted]",
        "tests/promises/test_faults.py::test_p1_p2_p8_a_process_killed_at_any_point_changes_nothing[forget.rewritten]",
    ),
    "snapshot() is refused there": (
        "tests/store/test_several_stores.py::test_a_snapshot_may_be_opened_under_another_name",
        "tests/store/test_snapshot.py::test_a_snapshot_goes_to_no_folder_that_has_something_in_it",
        "tests/store/test_snapshot.py::test_a_snapshot_has_the_states_and_vectors_of_models",
        "tests/store/test_snapshot.py::test_a_snapshot_is_of_one_moment_while_the_store_is_written",
        "tests/store/test_snapshot.py::test_a_snapshot_opens_as_a_store_with_all_that_was_there",
        "tests/store/test_snapshot.py::test_a_snapshot_that_fails_leaves_nothing",
        "tests/store/test_snapshot.py::test_work_that_was_not_done_is_done_in_the_copy_too",
    ),
    "it is about SQLite's own file": (
        "tests/definitions/test_names.py::test_an_index_that_an_older_version_made_is_not_made_again",
        "tests/definitions/test_names.py::test_indexes_of_two_tables_do_not_meet",
        "tests/definitions/test_schema.py::test_a_moment_with_a_zone_is_utc_text_in_the_file",
        "tests/definitions/test_schema.py::test_a_row_of_float32_without_a_fixed_length_is_plain_in_the_file_too",
        "tests/definitions/test_schema.py::test_enums_are_readable_in_the_file_by_name",
        "tests/definitions/test_schema.py::test_lists_are_json_in_the_file",
        "tests/definitions/test_schema.py::test_nested_dataclasses_are_json_in_the_file",
        "tests/definitions/test_schema.py::test_vectors_are_plain_little_endian_float32_in_the_file",
        "tests/engine/test_owned_rows.py::test_a_users_value_on_a_row_that_an_older_version_made_stays",
        "tests/engine/test_owned_rows.py::test_rows_that_an_older_version_made_lose_what_the_new_result_leaves_out",
        "tests/processes/test_disk.py::test_a_full_disk_is_said_loses_nothing_and_work_goes_on_when_there_is_room",
        "tests/processes/test_disk.py::test_a_store_that_may_only_be_read_says_so_and_is_whole_when_it_may_be_written",
        "tests/processes/test_disk.py::test_the_log_is_cut_after_a_large_transaction",
        "tests/processes/test_disk.py::test_the_log_is_cut_once_nobody_reads_what_was_before_it",
        "tests/search/test_indexes.py::test_a_file_that_is_ahead_of_a_restored_database_is_not_believed",
        "tests/search/test_text_search.py::test_an_index_of_an_earlier_form_is_made_again_and_said_so",
        "tests/search/test_text_search.py::test_the_index_fits_the_rows_by_sqlites_own_check",
        "tests/store/test_opening.py::test_a_file_in_the_way_of_the_folder_is_said",
        "tests/store/test_opening.py::test_a_file_that_is_no_database_is_left_as_it_is",
        "tests/store/test_opening.py::test_a_file_that_is_no_database_is_refused",
        "tests/store/test_opening.py::test_a_file_with_damaged_pages_is_said_to_be_damaged",
        "tests/states/test_state_kinds.py::test_an_estimator_whose_trees_lead_out_of_themselves_is_not_loaded",
        "tests/states/test_state_kinds.py::test_what_no_class_fits_any_more_is_given_to_load_as_a_dict",
        "tests/states/test_states.py::test_a_dataclass_that_gained_a_field_with_a_default_is_loaded",
        "tests/states/test_states.py::test_a_dataclass_that_lost_a_field_is_an_error_with_advice",
        "tests/states/test_states.py::test_a_manifest_cannot_make_an_object_of_any_class",
        "tests/states/test_states.py::test_loading_a_state_imports_nothing_that_its_manifest_names",
        "tests/store/test_opening.py::test_a_key_may_get_an_index",
        "tests/store/test_opening.py::test_a_new_store_is_opened_when_who_makes_the_same_one_is_done",
        "tests/store/test_opening.py::test_a_newer_format_is_refused",
        "tests/store/test_opening.py::test_a_store_that_could_not_be_opened_can_be_opened_later",
        "tests/store/test_opening.py::test_an_sqlite_that_is_too_old_is_named",
        "tests/store/test_opening.py::test_json_of_an_older_version_is_found_and_compared_like_what_is_stored_now",
        "tests/store/test_opening.py::test_what_an_older_version_noted_of_a_nested_type_is_still_taken",
        "tests/store/test_several_stores.py::test_a_store_whose_folder_is_gone_says_so",
        "tests/store/test_several_stores.py::test_opening_a_store_again_whose_folder_was_deleted_begins_anew",
        "tests/store/test_several_stores.py::test_the_worker_of_a_store_whose_folder_was_deleted_ends_with_one_word",
    ),
    "it copies the folder of a store, which is not all of one there": (
        "tests/states/test_switches.py::test_a_value_to_be_refreshed_after_a_switch_still_tells_who_made_it",
        "tests/states/test_switches.py::test_p12_of_a_candidates_outputs_only_a_part_is_tasks_at_once",
        "tests/states/test_switches.py::test_p12_of_what_follows_from_a_switch_only_a_part_is_tasks_at_once",
        "tests/states/test_switches.py::test_p4_a_switch_before_what_follows_from_the_last_one_is_done_leaves_nothing_behind",
        "tests/states/test_switches.py::test_p4_what_follows_from_a_switch_is_only_made_where_a_value_differs",
    ),
    "processes are told by the server there, and not by sockets in the folder": (
        "tests/processes/test_wakeups.py::test_a_closed_store_leaves_no_socket",
        "tests/processes/test_wakeups.py::test_what_a_killed_process_leaves_behind_is_removed",
    ),
    "a child that is forked in the midst of a read is not refused there, as it takes connections of its own": (
        "tests/processes/test_forks.py::test_a_child_that_is_made_in_the_midst_of_a_long_read_refuses_and_says_what_to_do",
    ),
    "no older Motion has made a store in PostgreSQL": (
        "tests/engine/test_numbers.py::test_a_store_of_an_older_format_goes_on_where_it_was",
        "tests/engine/test_numbers.py::test_what_was_asked_for_in_an_older_format_is_done",
        "tests/store/test_asking.py::test_figures_and_notes_of_a_store_of_format_1_are_put_apart",
    ),
    "its texts hold no NUL": (
        "tests/definitions/test_schema.py::test_a_column_of_values_comes_back_as_it_was_set[text]",
        "tests/definitions/test_schema.py::test_a_value_comes_back_as_it_was_set[perhaps]",
        "tests/definitions/test_schema.py::test_a_value_comes_back_as_it_was_set[text]",
        "tests/search/test_text_search.py::test_a_text_with_a_letter_finds_itself_in_any_form",
        "tests/search/test_text_search.py::test_any_text_can_be_stored_and_asked_for",
        "tests/search/test_text_search.py::test_words_are_apart_whatever_stands_between_them[\\x00]",
        "tests/store/test_set_many.py::test_rows_are_removed_whatever_their_ids_are",
    ),
    "the SQL in it, or what is said of SQL, is SQLite's": (
        "tests/across_rows/test_folds_applied_once.py::test_rows_that_were_applied_are_not_looked_at_again",
        "tests/definitions/test_messages.py::test_sql_that_names_no_key_is_told_the_keys_there_are",
        "tests/search/test_indexes.py::test_a_filter_that_depends_on_chance_is_asked_each_time",
        "tests/store/test_asking.py::test_a_backfill_whose_condition_fails_holds_up_nothing_and_tells_the_row",
        "tests/store/test_dead_letters.py::test_telling_a_few_dead_letters_reads_no_more_than_these",
        "tests/store/test_reading.py::test_a_page_that_has_a_value_of_its_own_is_found_by_that_one",
        "tests/store/test_reading.py::test_a_query_without_rows_still_has_columns",
        "tests/store/test_reading.py::test_a_wrong_query_is_quoted_in_the_error",
        "tests/store/test_reading.py::test_rows_come_in_the_order_asked_for",
        "tests/store/test_reading.py::test_sql_cannot_write",
        "tests/store/test_reading.py::test_sql_reads_what_is_stored_by_the_name_for_that",
        "tests/store/test_sql.py::test_several_threads_that_are_refused_leave_each_other_alone",
        "tests/store/test_sql.py::test_what_reads_is_answered[explain query plan select * from garment]",
        "tests/store/test_sql.py::test_what_reads_is_answered[pragma integrity_check]",
        "tests/store/test_sql.py::test_what_reads_is_answered[pragma page_count]",
        "tests/store/test_sql.py::test_what_reads_is_answered[pragma table_info(garment)]",
        "tests/store/test_sql.py::test_what_reads_is_answered[select name from pragma_table_info('garment') where name = 'shop']",
        "tests/store/test_sql.py::test_what_reads_is_answered[select sql from sqlite_master]",
        "tests/store/test_sql.py::test_what_reads_is_answered[with recursive c(x) as (select 1 union all select x + 1 from c limit 9) select x from c]",
        "tests/store/test_sql.py::test_what_would_do_more_than_read_is_refused_and_leaves_nothing",
    ),
    "it watches this process compute, and there the server does": (
        "tests/store/test_sql.py::test_a_signal_stops_what_is_asked",
    ),
    "a table there has at most 1,600 columns": (
        "tests/definitions/test_names.py::test_a_table_has_as_many_keys_as_fit",
    ),
}


def reason_of(test: str) -> str | None:
    """Return why a test, by its name as pytest has it, is not run with stores in PostgreSQL; None where it is."""
    whole = test.partition("[")[0]
    for reason, names in DIFFERENCES.items():
        if test in names or whole in names:
            return reason
    return None
