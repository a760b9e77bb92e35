"""What tests do not hold with stores in PostgreSQL, by name and with the reason: they are skipped there.

`docs/guides/postgres.md` tells users the same. A name without `[` is of all its cases.
"""

from __future__ import annotations

from collections.abc import Mapping

DIFFERENCES: Mapping[str, tuple[str, ...]] = {
    "it is about SQLite's own file": (
        "tests/store/test_sql_dtypes.py::test_an_array_of_no_numbers_that_an_older_version_stored_is_found",
        "tests/store/test_forget.py::test_what_lies_in_free_space_of_the_file_is_forgotten_too",
        "tests/store/test_forget_former_code.py::test_code_that_differs_in_nothing_that_it_takes_is_noted_once",
        "tests/across_rows/test_late_indexes.py::test_a_load_of_many_rows_into_an_empty_table_makes_it_at_the_end",
        "tests/across_rows/test_late_indexes.py::test_it_is_made_before_the_end_where_there_are_many_more_rows",
        "tests/across_rows/test_late_indexes.py::test_it_is_made_before_the_end_where_the_load_lasts",
        "tests/across_rows/test_late_indexes.py::test_rows_that_come_one_by_one_leave_it_as_it_is",
        "tests/across_rows/test_late_indexes.py::test_a_load_that_looks_for_rows_leaves_it_as_it_is",
        "tests/across_rows/test_late_indexes.py::test_a_load_into_a_table_with_rows_leaves_it_as_it_is",
        "tests/across_rows/test_late_indexes.py::test_a_load_that_a_bad_row_ends_has_made_it",
        "tests/across_rows/test_late_indexes.py::test_what_a_killed_process_has_not_made_is_made_at_the_next_opening",
        "tests/executors/test_processes.py::test_tasks_are_not_forgotten_when_the_disk_is_full_for_a_while",
        "tests/store/test_store.py::test_a_write_that_is_interrupted_while_it_waits_to_lead_leaves_the_others_their_turn",
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
        "tests/states/test_lessons.py::test_a_store_of_format_6_knows_what_its_versions_learned_from",
        "tests/states/test_lessons.py::test_what_is_kept_of_fits_that_are_never_promoted_does_not_grow_with_their_labels",
        "tests/processes/test_interrupts.py::test_a_write_that_is_interrupted_as_it_is_ended_holds_up_nobody",
        "tests/test_seed_example.py::test_other_tools_read_the_file_beside_the_open_store",
        "tests/test_seed_example.py::test_the_columns_of_the_file_are_the_keys",
        "tests/test_import.py::test_a_store_is_opened_without_extras_and_without_what_only_some_calls_need",
        "tests/store/test_notebooks.py::test_a_cell_that_is_run_again_leaves_no_thread_and_no_file_behind",
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
        "tests/store/test_triggers_away.py::test_a_trigger_that_an_older_motion_took_away_may_have_missed_something",
        "tests/store/test_several_stores.py::test_opening_a_store_again_whose_folder_was_deleted_begins_anew",
        "tests/store/test_several_stores.py::test_who_waits_is_told_where_the_folder_goes_as_the_wait_begins",
        "tests/store/test_several_stores.py::test_the_worker_of_a_store_whose_folder_was_deleted_ends_with_one_word",
    ),
    "it copies the folder of a store, which is not all of one there": (
        "tests/executors/test_processes.py::test_a_copy_of_the_folder_goes_on_with_the_work_though_the_process_that_had_it_lives",
    ),
    "processes are told by the server there, and not by sockets in the folder": (
        "tests/processes/test_wakeups.py::test_a_closed_store_leaves_no_socket",
        "tests/processes/test_wakeups.py::test_what_a_killed_process_leaves_behind_is_removed",
    ),
    "a child that is forked in the midst of a read is not refused there, as it takes connections of its own": (
        "tests/processes/test_forks.py::test_a_child_that_is_made_in_the_midst_of_a_long_read_refuses_and_says_what_to_do",
    ),
    "SQL of guests is refused there": (
        "tests/server/test_agents.py::test_an_agent_reads_a_store_by_its_folder_and_cannot_write",
        "tests/server/test_agents.py::test_an_agent_that_may_write_sees_what_its_change_causes",
        "tests/server/test_server_safety.py::test_each_role_may_do_its_part_and_no_more",
        "tests/server/test_server_safety.py::test_who_only_reads_learns_nothing_of_a_secret_by_asking_whether_it_is_so",
        "tests/server/test_server_safety.py::test_sql_of_others_than_admins_sees_nothing_that_the_store_keeps_for_itself",
    ),
    "no older Motion has made a store in PostgreSQL": (
        "tests/cli/test_commands.py::test_a_store_of_an_older_format_is_left_as_it_is",
        "tests/engine/test_numbers.py::test_a_store_of_an_older_format_goes_on_where_it_was",
        "tests/engine/test_numbers.py::test_what_was_asked_for_in_an_older_format_is_done",
        "tests/store/test_asking.py::test_figures_and_notes_of_a_store_of_format_1_are_put_apart",
    ),
    "its texts hold no NUL": (
        "tests/across_rows/test_lookups_of_lists.py::test_an_id_with_a_nul_names_no_row_in_a_list_also_where_one_has_what_is_before_it",
        "tests/server/test_server.py::test_a_search_among_rows_with_ids_of_any_text_finds_each_of_them",
        "tests/store/test_store.py::test_a_text_id_may_be_any_text[a\\x00b]",
        "tests/definitions/test_schema.py::test_a_column_of_values_comes_back_as_it_was_set[perhaps]",
        "tests/definitions/test_schema.py::test_a_column_of_values_comes_back_as_it_was_set[text]",
        "tests/definitions/test_schema.py::test_a_value_comes_back_as_it_was_set[perhaps]",
        "tests/definitions/test_schema.py::test_a_value_comes_back_as_it_was_set[text]",
        "tests/search/test_text_search.py::test_a_text_with_a_letter_finds_itself_in_any_form",
        "tests/search/test_text_search.py::test_any_text_can_be_stored_and_asked_for",
        "tests/search/test_text_search.py::test_words_are_apart_whatever_stands_between_them[\\x00]",
        "tests/store/test_set_many.py::test_rows_are_removed_whatever_their_ids_are",
    ),
    "the SQL in it, or what is said of SQL, is SQLite's": (
        "tests/cli/test_commands.py::test_sql_answers_with_its_parameters_and_a_limit",
        "tests/cli/test_commands.py::test_what_users_texts_hold_is_shown_and_does_nothing",
        "tests/server/test_server_safety.py::test_what_is_too_large_is_refused_before_it_is_read",
        "tests/store/test_sql_answers.py::test_a_column_of_an_answer_has_the_type_of_its_values[select case id when 0 then 'a' else id end v from thing order by id-kind7-values7]",
        "tests/store/test_sql_arrays.py::test_an_array_beside_an_aggregate_is_one",
        "tests/store/test_statements.py::test_a_claim_asks_about_triggers_that_have_work_however_many_there_are",
        "tests/store/test_statements.py::test_no_statement_of_a_worker_walks_the_queue",
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
        "tests/processes/test_interrupts.py::test_what_a_handler_raises_comes_out_as_it_is",
        "tests/store/test_sql.py::test_a_signal_stops_what_is_asked",
    ),
    "of an expression it tells no more than that it is bytes": (
        "tests/store/test_sql_arrays.py::test_bytes_in_an_expression_stay_bytes_in_a_file_even_where_they_are_an_array_to_the_letter",
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
