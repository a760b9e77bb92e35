"""Rules of the engine taken out, one at a time, each with the tests that say so: `make mutants` runs them.

A test that passes whether its rule is there or not guards nothing. Each edit is made in a copy of `src`, and the tests named
beside it run on that copy; they must pass on the copy as it is, and fail on the edited one. An edit is found by its text, so it
follows code that moves; where the text is not there exactly once, the list is to be brought up to date.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

TIMEOUT_S = 150
"""For one test: where a rule is gone, some wait for what never comes."""


@dataclass(frozen=True)
class Mutant:
    """A rule, and how it is taken out.

    Attributes:
        promise: of the table in the design that it belongs to.
        edits: texts, and what stands in their place.
        test: the test that must fail, below `tests/`.
    """

    promise: str
    rule: str
    edits: Sequence[tuple[str, str]]
    test: str


MUTANTS = (
    Mutant(
        "P1",
        "of writes that share a commit, one that fails leaves nothing behind",
        [('tx.execute("ROLLBACK TO caller")', "pass")],
        "store/test_store.py::test_of_writes_that_share_a_commit_each_is_whole_or_not_at_all",
    ),
    Mutant(
        "P2",
        "a run that was taken over commits nothing: its claim is not held, and another has met the change (either is enough)",
        [
            ("if not leases.still_claimed(tx, self.tasks):", "if False:"),
            ("if now.get(row) != self.inputs.fences[i]", "if now.get(row) is None"),
        ],
        "engine/test_numbers.py::test_p2_a_run_that_was_taken_over_writes_nothing_when_its_first_process_comes_back",
    ),
    Mutant(
        "P2",
        "a batch that raised is halved, and what it wrote through its view until then is dropped",
        [("& step.met & still", "& still | still")],
        "engine/test_triggers.py::test_p2_the_free_writes_of_a_failed_run_are_dropped",
    ),
    Mutant(
        "P3",
        "what was made from values that have changed since is dropped",
        [("if now.get(row) != self.inputs.fences[i]", "if now.get(row) is None")],
        "engine/test_cascades.py::test_p3_a_result_for_an_old_value_is_dropped",
    ),
    Mutant(
        "P4",
        "where a value that is needed is gone, what was made from it is unset",
        [("            for i in self.unset:\n                column[i] = None\n", "")],
        "engine/test_triggers.py::test_unsetting_an_on_key_unsets_the_output",
    ),
    Mutant(
        "P2",
        "what waits on a page for work on another row is looked at again as the page goes",
        [("queue.wake_on(tx, [spec.name for spec in graph.of_table(table)], ranges_of(rows))", "pass")],
        "promises/test_dead_letters_upstream.py::test_p2_what_waits_on_a_page_for_work_on_another_row_ends_with_the_page",
    ),
    Mutant(
        "P4",
        "what a trigger of another name has made of a key is other code's, also once that trigger has written over its mark",
        [("        if done_column(former) not in columns:", "        if True:")],
        "store/test_hand_overs.py::test_a_split_trigger_that_has_run_again_does_not_hide_what_it_had_made_before",
    ),
    Mutant(
        "P4",
        "a page with an `on` value of its own follows what it inherits beside",
        [("    if not layout.pages_beyond(spec):\n        return []", "    if True:\n        return []")],
        "engine/test_own_values_of_pages.py::test_what_a_page_inherits_beside_its_own_value_is_followed",
    ),
    Mutant(
        "P4",
        "a key that arrives later runs those who waited for it as a parameter",
        [("in written.arrived.items():\n        for spec in graph.readers", "in ():\n        for spec in graph.readers")],
        "engine/test_triggers.py::test_a_trigger_waits_for_a_missing_parameter_and_runs_when_it_arrives",
    ),
    Mutant(
        "P4",
        "what a user gives beats the run that is under way",
        [("for name in _overridden(layout, given):", "for name in ():")],
        "engine/test_cascades.py::test_a_users_value_beats_a_run_that_is_under_way",
    ),
    Mutant(
        "P4",
        "what old code made is unset where new code lacks an input",
        [
            ("({is_runnable} OR {is_of_other_code})", "({is_runnable})"),
            ("AND ({is_of_other_code} OR", "AND (1 = 0 OR"),
        ],
        "store/test_deploys.py::test_an_input_that_new_code_needs_and_a_row_lacks_leaves_nothing_of_the_old_code",
    ),
    Mutant(
        "P4",
        "code that comes back has not seen what the code between did not watch",
        [("if name in before and not spec.runs_wherever(before[name])", "if name not in graph.triggers")],
        "store/test_deploys.py::test_what_a_roll_back_brings_back_is_stale_where_its_inputs_were_not_watched",
    ),
    Mutant(
        "P2",
        "what a write has claimed for its own worker is taken only once the write is kept",
        [
            ("return claim.is_held_by(tx, self._owner, task)", "return True"),
            ("return self._kept is task", "return True"),
        ],
        "engine/test_offers.py::test_what_a_write_offered_that_is_undone_is_never_called_and_holds_up_nothing",
    ),
    Mutant(
        "P5",
        "a task that waits for these rows is used again (by itself, or as one that holds them: either is enough)",
        [
            ("waiting = _meet(tx, spec.name, low, high, version)", "waiting = None"),
            (
                "found = [Waiting(*row) for row in tx.execute(sql, (low, high, spec.name, version, level))]",
                "found = []",
            ),
        ],
        "engine/test_cascades.py::test_p5_many_sets_of_a_key_leave_one_task_in_the_queue",
    ),
    Mutant(
        "P6",
        "pages that the last result does not make are gone",
        [("    _delete_pages(tx, layouts, spec, sorted(own - others.keys()), cause)\n    return written", "    return written")],
        "engine/test_pages.py::test_p6_a_shorter_result_removes_the_pages_behind_it",
    ),
    Mutant(
        "P6",
        "a page that a user made is never removed",
        [("if page > 0 and _is_made_by(layout, old, spec)}", "if page > 0}")],
        "engine/test_pages.py::test_p6_a_page_that_a_user_made_is_never_removed",
    ),
    Mutant(
        "P7",
        "what a run has read by `sql` it has read of what is live then",
        [("            if table.name.casefold() in text or OWN_TABLES in text:", "            if False:")],
        "across_rows/test_read_by_version.py::test_p7_what_sql_has_read_of_two_versions_is_dropped",
    ),
    Mutant(
        "P7",
        "what was made with a state version that was retired meanwhile is made again",
        [("        return versions.are_live(tx, pins)\n", "        return True\n")],
        "states/test_components.py::test_p7_a_run_whose_version_was_retired_meanwhile_is_made_again",
    ),
    Mutant(
        "P8",
        "a fit gets no label that its lineage has learned from",
        [("known = lessons.of_lineage(tx, fit, lineage)", "known: list[tuple[int, int]] = []")],
        "states/test_components.py::test_p8_setting_a_label_again_after_a_fit_makes_a_new_one",
    ),
    Mutant(
        "P8",
        "what a version outside of the lineage has learned from is learned by the next",
        [("WHERE component = ? AND number IN ({numbers}) AND fit = ?", "WHERE component = ? AND -1 NOT IN ({numbers}) AND fit = ?")],
        "states/test_components.py::test_p8_the_labels_of_a_refused_fit_are_learned_by_the_next",
    ),
    Mutant(
        "P8",
        "setting a label again before a fit replaces it",
        [("fewer = _forget_unlearned(tx, fit.name, [row for row, *_ in found])", "fewer = 0")],
        "states/test_components.py::test_p8_setting_a_label_again_before_a_fit_replaces_it",
    ),
    Mutant(
        "P9",
        "a search leaves out the vectors of versions before",
        [
            (
                'return " AND ".join(conditions) or None\n\n\ndef _not_of_former',
                "return None\n\n\ndef _not_of_former",
            )
        ],
        "search/test_spaces.py::test_p9_vectors_of_versions_before_are_left_out_of_a_search",
    ),
    Mutant(
        "P10",
        "a failed run is tried as often as its trigger says",
        [("if attempts <= spec.retries:", "if False:")],
        "engine/test_triggers.py::test_p10_a_failed_run_is_retried_by_policy",
    ),
    Mutant(
        "P10",
        "a batch that raises is halved until the failing rows stand alone",
        [("if len(rows) == 1 or isinstance(error, NotOneEach):", "if True:")],
        "engine/test_triggers.py::test_p10_a_batch_that_raises_is_halved_until_the_failing_rows_stand_alone",
    ),
    Mutant(
        "P10",
        "a row has one dead letter of a trigger",
        [("    _end_dead(tx, trigger, low, high, version, heir=task)\n", "")],
        "store/test_dead_letters.py::test_p10_a_row_whose_runs_both_fail_has_one_dead_letter_for_all_who_wait",
    ),
    Mutant(
        "P10",
        "what a row has failed at is over once it succeeds",
        [("        self._end_letters(tx, kept, number)\n", "")],
        "store/test_dead_letters.py::test_p10_a_row_that_has_succeeded_since_has_no_dead_letter",
    ),
    Mutant(
        "P11",
        "the tasks of a process that lives are left to it",
        [("for owner in backlog.owners(tx) if self._owner.is_gone(owner)]", "for owner in backlog.owners(tx)]")],
        "promises/test_crash.py::test_p11_the_task_of_a_living_process_is_left_to_it",
    ),
    Mutant(
        "P11",
        "the tasks of a process that is gone are taken over",
        [("            self._database.write_plainly(lambda tx: self._take_from(tx, gone))\n", "")],
        "promises/test_crash.py::test_p11_the_task_of_a_killed_process_is_taken_over_by_another",
    ),
    Mutant(
        "P11",
        "a lease that is lost uses up no attempt",
        [(':d}, owner = NULL, "\n            f"losses = losses', ':d}, owner = NULL, attempts = attempts + 1, "\n            f"losses = losses')],
        "promises/test_crash.py::test_p11_a_lost_lease_uses_up_no_attempt",
    ),
    Mutant(
        "P12",
        "where the queue is full, writes from outside wait",
        [("if found < self._limit:", "if True:")],
        "engine/test_queue.py::test_p12_a_full_queue_makes_writes_from_outside_wait",
    ),
    Mutant(
        "P13",
        "a run that writes commits only if it would read the same now",
        [("return check.lost_by(left.reads) if self._is_isolated(left) else None", "return None")],
        "across_rows/test_isolation.py::test_a_run_whose_read_row_has_changed_is_called_again",
    ),
    Mutant(
        "P13",
        "what was made from a value of another row that has changed since is dropped",
        [("if now.get(row) != self.inputs.fences[i]", "if now.get(row) is None")],
        "across_rows/test_lookups.py::test_a_result_of_an_old_value_is_dropped",
    ),
    Mutant(
        "P13",
        "a read that is answered otherwise when it is made again is a change",
        [("if self.asked.setdefault(question, answer).seen != answer.seen:", "if self.asked.setdefault(question, answer) is None:")],
        "across_rows/test_isolation.py::test_a_read_that_is_answered_otherwise_when_it_is_made_again_counts_as_a_change",
    ),
    Mutant(
        "P14",
        "a change of what was read by hand and is followed runs those who have read it",
        [("if not parts or not reads.is_any_of(tx, target.table.name):", "if parts is not None:")],
        "across_rows/test_follow.py::test_a_change_of_what_was_read_is_followed",
    ),
    Mutant(
        "P14",
        "a change of what is looked up runs those who look it up",
        [("for spec, lookup in graph.followers.get((table, key), ()):\n            tasks += follow(tx, layouts, layout", "for spec, lookup in ():\n            tasks += follow(tx, layouts, layout")],
        "across_rows/test_lookups.py::test_a_change_of_what_is_looked_up_is_followed",
    ),
    Mutant(
        "P14",
        "a row that comes late runs those whose windows hold it",
        [("    for spec, window in windowed:\n        layout = layouts[spec.table]", "    for spec, window in ():\n        layout = layouts[spec.table]")],
        "across_rows/test_windows.py::test_a_row_that_comes_late_is_held_by_the_later_ones",
    ),
    Mutant(
        "P14",
        "a row that comes late has the later ones folded again",
        [("""'":due" = CASE WHEN e.":due" < excluded.":due" THEN e.":due" ELSE excluded.":due" END""", """'":due" = e.":due\"""")],
        "across_rows/test_folds.py::test_a_row_that_comes_late_has_the_later_ones_folded_again",
    ),
    Mutant(
        "P14",
        "what page 0 changes for a fold is folded in the pages that show it",
        [("    below = rows_inheriting(tx, source, spec, changed)", "    below = list[int]()")],
        "across_rows/test_folds_of_pages.py::test_what_page_0_changes_for_its_pages_is_folded_and_nothing_else",
    ),
    Mutant(
        "P14",
        "of a fold that applies each row once, a row that goes while it is called for is not in the value",
        [("return found == dict(zip(reading.rows[:count]", "return True or found == dict(zip(reading.rows[:count]")],
        "across_rows/test_folds_applied_once.py::test_a_row_that_is_deleted_in_mid_call_is_not_in_the_value",
    ),
    Mutant(
        "P14",
        "of a fold that applies each row once, an entity of which an applied row changes is stale",
        [("        _leave_behind(tx, source, entities, spec, part, number)", "        pass")],
        "across_rows/test_folds_applied_once.py::test_an_applied_row_that_becomes_another_calls_nothing_and_leaves_its_entity_stale",
    ),
    Mutant(
        "P7",
        "a run is pinned to the version of what it takes",
        [("pins |= self._database.live_versions(further) if further else {}", "pins |= {}")],
        "across_rows/test_taken_by_version.py::test_p7_a_run_is_pinned_to_the_version_of_what_it_takes",
    ),
    Mutant(
        "P14",
        "windows over what a switch has changed are due",
        [("        tell_takers(tx, database.layouts", "        (lambda *_: None)(tx, database.layouts")],
        "across_rows/test_taken_by_version.py::test_p14_what_takes_values_by_version_follows_the_one_that_is_live",
    ),
    Mutant(
        "P14",
        "a candidate's outputs are made again where others that they are made of change",
        [("                self._build_again(tx, written, number)", "                pass")],
        "across_rows/test_taken_by_version.py::test_a_candidate_goes_live_with_outputs_that_are_made_of_its_others_as_these_are_now",
    ),
    Mutant(
        "P9",
        "a build that has begun leaves nothing to itself",
        [(" AND kind = 'build' AND number = 0", " AND kind = 'build'")],
        "across_rows/test_taken_by_version.py::test_p9_what_changes_while_a_part_of_a_build_is_chosen_is_made_before_the_switch",
    ),
    Mutant(
        "P9",
        "a part that was chosen of a build before it began anew is not handed over",
        [("remaining = ?, number = 0", "remaining = ?")],
        "across_rows/test_taken_by_version.py::test_p9_what_changes_while_a_part_of_a_build_is_chosen_is_made_before_the_switch",
    ),
    Mutant(
        "P14",
        "a switch lets builds of what a candidate of another component takes begin anew",
        [("            begin_anew(tx, layout, spec, next_number(tx))", "            pass")],
        "across_rows/test_taken_by_version.py::test_p14_what_a_candidate_takes_of_another_component_is_of_the_switch_before_its_own",
    ),
    Mutant(
        "P7",
        "what a run reads by hand is of one version",
        [("        return {**self.pins, **self._reads.pinned(index, further)} if further else self.pins", "        return self.pins")],
        "across_rows/test_read_by_version.py::test_p7_a_run_reads_one_version_by_hand_and_is_called_again_once_another_is_live",
    ),
    Mutant(
        "P7",
        "what a run has read by hand is of what is live when it commits",
        [("if not left.reads.pins.items() <= live.items()", "if False")],
        "across_rows/test_read_by_version.py::test_p7_a_run_reads_one_version_by_hand_and_is_called_again_once_another_is_live",
    ),
    Mutant(
        "P7",
        "what a run before a write has read by version is left to a task",
        [("or self._reads.is_any_pinned", "")],
        "across_rows/test_read_by_version.py::test_p7_what_ran_before_a_write_and_read_by_version_is_left_to_a_task",
    ),
    Mutant(
        "P7",
        "a generator commits no page once what it has read is live no more",
        [("    if not versions.are_live(tx, left.reads.pins):\n        return False\n", "")],
        "across_rows/test_read_by_version.py::test_p7_a_generators_pages_are_of_one_version",
    ),
    Mutant(
        "P14",
        "what a list names is of the version that the run is for",
        [("has_values=has_values, pins=self.pins", "has_values=has_values")],
        "across_rows/test_lists_of_versions.py::test_p14_what_lists_name_is_of_the_version_that_is_live",
    ),
    Mutant(
        "P14",
        "a candidate's outputs are due where what their lists name changes",
        [("            if lookup.is_of_list and lookup.is_followed:", "            if False:")],
        "across_rows/test_lists_of_versions.py::test_outputs_of_a_candidate_are_made_once_for_what_changes_beside_it",
    ),
    Mutant(
        "P14",
        "rows that list several of those that change do not hide others",
        [("        if left < 0 or len(found) > most:", "        if len(found) > most:")],
        "across_rows/test_lookups_of_lists.py::test_rows_that_list_several_of_those_that_change_do_not_hide_others",
    ),
    Mutant(
        "P14",
        "what others make while a component is away is stale",
        [("    _disown_takers(tx, graph", "    (lambda *_: None)(tx, graph")],
        "states/test_components_away.py::test_what_was_made_of_outputs_while_their_component_was_away_is_told_as_stale",
    ),
    Mutant(
        "forget",
        "versions that are not live keep nothing of what is forgotten",
        [("        self._take_out_of_versions(tx", "        (lambda *_: None)(tx")],
        "store/test_forget_echoes.py::test_nor_does_a_state_version_that_is_not_live_keep_it",
    ),
    Mutant(
        "priority",
        "what follows inherits the priority",
        [("return {cause.priority: rows}", "return {0: rows}")],
        "engine/test_cascades.py::test_what_follows_inherits_the_priority",
    ),
    Mutant(
        "serial_by",
        "while one of a line is under way, the next waits",
        [("first = None if _is_under_way(tx, trigger, line) else _first_of(tx, trigger, line)", "first = _first_of(tx, trigger, line)")],
        "across_rows/test_serial.py::test_a_row_that_comes_while_one_of_its_line_is_under_way_waits",
    ),
    Mutant(
        "once",
        "where it has succeeded, it runs never again",
        [("<= 0\" if spec.once else", ">= 0\" if spec.once else")],
        "engine/test_once.py::test_a_row_is_acted_on_once_whatever_changes",
    ),
    Mutant(
        "memo",
        "what other code gave is not taken",
        [("made_by = msgspec.msgpack.encode((spec.fingerprint, sorted(known.items())))", "made_by = msgspec.msgpack.encode(sorted(known.items()))")],
        "engine/test_memo.py::test_other_code_makes_its_own_results",
    ),
    Mutant(
        "P2",
        "a key that is converted keeps the values of all rows, whatever their ids",
        [("BEFORE_ALL = -(2**63)", "BEFORE_ALL = 0")],
        "cli/test_migrating.py::test_rows_with_ids_of_zero_and_below_keep_their_values",
    ),
    Mutant(
        "P2",
        "no key is converted that a fold goes by whose work waits",
        [("        if fold is None or fold.source != table or key not in", "        if True or key not in")],
        "cli/test_migrating.py::test_what_a_fold_with_waiting_work_goes_by_is_not_converted",
    ),
    Mutant(
        "P14",
        "windows hold rows up to the last number of 64 bits",
        [("return min(order + window.within_ms - 1, LARGEST)", "return min(order + window.within_ms, LARGEST) - 1")],
        "across_rows/test_windows.py::test_numbers_at_the_ends_of_what_is_kept_have_windows_too",
    ),
)  # fmt: skip


class OutOfDate(Exception):
    """What a mutant takes out is not there exactly once."""


def passes(source: Path, tests: Sequence[str]) -> bool:
    """Whether tests pass with another tree of sources. A process that a signal has ended has not passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout", str(TIMEOUT_S)]  # fmt: skip
    ended = subprocess.run(
        [*command, *(f"tests/{test}" for test in tests)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if ended.returncode > 1:  # no test has failed: there is none of that name, or it cannot be run
        raise OutOfDate(f"pytest ended with {ended.returncode}:\n{ended.stdout}")
    return ended.returncode == 0


def place_of(source: Path, text: str) -> Path:
    """Return the one file that has a text, once."""
    found = [path for path in sorted(source.rglob("*.py")) if text in path.read_text("utf-8")]
    if len(found) != 1 or found[0].read_text("utf-8").count(text) != 1:
        raise OutOfDate(f"{text!r} is not in exactly one place of {source}")
    return found[0]


def is_noticed(source: Path, mutant: Mutant) -> bool:
    """Take a rule out, and return whether its test fails then; the tree is as before afterwards."""
    places = [(place_of(source, old), old, new) for old, new in mutant.edits]
    before = {path: path.read_text("utf-8") for path, _, _ in places}
    try:
        for path, old, new in places:
            path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
        return not passes(source, [mutant.test])
    finally:
        for path, text in before.items():
            path.write_text(text, "utf-8")


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", default="", help="only rules whose promise, words or test hold this")
    wanted = parser.parse_args().k
    chosen = [each for each in MUTANTS if wanted in f"{each.promise} {each.rule} {each.test}"]
    if not chosen:
        tell(f"no rule has {wanted!r}")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        if not passes(source, sorted({each.test for each in chosen})):
            tell("the tests fail with all rules in place")
            return 1
        missed = 0
        for mutant in chosen:
            noticed = is_noticed(source, mutant)
            missed += not noticed
            by = "" if noticed else "**not by** "
            tell(f"| {mutant.promise} | {mutant.rule} | {by}`{mutant.test}` |")
    tell(f"{len(chosen) - missed} of {len(chosen)} noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
