BEGIN TRANSACTION;
CREATE TABLE motion_after (  -- how far triggers that run a while after a row's time have come
    trigger TEXT PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL,  -- the table and the key that holds the time
    delay_ms INTEGER NOT NULL, is_text INTEGER NOT NULL,              -- how it is stored
    until NOT NULL  -- all rows up to this time, as it is stored, have become due
);
CREATE TABLE motion_asked (  -- fits and promotions that people asked for, until long after their end
    change INTEGER NOT NULL, component TEXT NOT NULL,
    fit TEXT NOT NULL,                        -- empty: a promotion
    number INTEGER,                           -- the version to be promoted, or that the fit has made
    is_begun INTEGER NOT NULL DEFAULT 0,      -- whether a fit has begun since
    outcome TEXT, reason TEXT,                -- done, failed or superseded; NULL: it has not come to its end
    PRIMARY KEY (change, component, fit)
);
CREATE TABLE motion_away (  -- triggers that were taken away: the last change until then
    trigger TEXT PRIMARY KEY, number INTEGER NOT NULL
);
CREATE TABLE motion_backfills (  -- work on a trigger's whole table; a worker makes its tasks part by part
    change INTEGER NOT NULL, trigger TEXT NOT NULL,
    kind TEXT NOT NULL,  -- backfill: asked for; build: a candidate's outputs; refresh: what a switch leaves to do,
                         -- sweep: what looks up something that has changed; joined: waits for a sweep
    next INTEGER NOT NULL, last INTEGER NOT NULL,     -- the rows it has not come to, both included; none: next > last
    total INTEGER NOT NULL, remaining INTEGER NOT NULL,  -- rows to remake: as counted first, and not yet made tasks
    condition TEXT, parameters BLOB NOT NULL, is_forced INTEGER NOT NULL,  -- of a sweep: key and value
    number INTEGER NOT NULL DEFAULT 0,                -- of a sweep: the change that its rows are to be newer than
    again INTEGER NOT NULL DEFAULT 0, path TEXT NOT NULL DEFAULT '',                 -- of a sweep: it goes round once more, as another has joined it
    PRIMARY KEY (change, trigger, parameters)  -- one change may leave several sweeps of a trigger
) WITHOUT ROWID;
INSERT INTO "motion_backfills" VALUES(12,'Taste.measure','backfill',1,1,1,1,NULL,X'90',1,0,0,'');
CREATE TABLE motion_checkpoints (  -- of folds: the value as of some of an entity's rows, and as of the last
    trigger TEXT NOT NULL, entity INTEGER NOT NULL,
    position INTEGER NOT NULL,                    -- how many rows are folded into it
    place, row, value,                            -- the last of them by its order and id; the value in stored form
    PRIMARY KEY (trigger, entity, position)
) WITHOUT ROWID;
CREATE TABLE motion_clock (
    one INTEGER PRIMARY KEY CHECK (one = 1), format INTEGER NOT NULL,
    number INTEGER NOT NULL,  -- of the last change: every commit that changes rows takes the next
    graph INTEGER NOT NULL,   -- grows when triggers are replaced, so that other processes notice
    thinned INTEGER NOT NULL DEFAULT 0  -- up to here motion_moments keeps one entry in ten seconds
, last_task INTEGER NOT NULL DEFAULT 0, name TEXT);
INSERT INTO "motion_clock" VALUES(1,5,12,4,11,8,'shop');
CREATE TABLE motion_components (
    name TEXT PRIMARY KEY, live INTEGER, candidate INTEGER,
    is_gated INTEGER NOT NULL DEFAULT 1,     -- whether the candidate must be better, or goes live once it is built
    is_rollback INTEGER NOT NULL DEFAULT 0,  -- whether the candidate is on its way back
    setup TEXT                               -- fingerprint of the `setup` whose result was taken up last
);
INSERT INTO "motion_components" VALUES('Taste',1,NULL,1,0,'0923c84886ef7f75');
CREATE TABLE motion_declared (  -- what a table's schema says of its keys beside their types: JSON
    name TEXT PRIMARY KEY, keys TEXT NOT NULL
);
INSERT INTO "motion_declared" VALUES('note','{"id":{},"page":{},"text":{},"length":{},"other":{},"doubled":{},"liked":{}}');
CREATE TABLE motion_discards (
    trigger TEXT PRIMARY KEY, rows INTEGER NOT NULL DEFAULT 0,  -- how many it has dropped
    waiting INTEGER NOT NULL DEFAULT 0  -- of a trigger with discard_beyond: so many rows wait at most
, again INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0);
CREATE TABLE motion_fit_requests (  -- fits that are to run, and `setup`s that have changed
    component TEXT NOT NULL,
    fit TEXT NOT NULL,                        -- the name of the fit; empty: a changed `setup`
    setup TEXT NOT NULL,                      -- the fingerprint of that; empty: a fit
    owner TEXT, change INTEGER NOT NULL,
    progress TEXT,                            -- as the fit told last: JSON
    seen INTEGER,                             -- of one that runs: the newest label that it may learn from
    PRIMARY KEY (component, fit, setup)
);
CREATE TABLE motion_fit_runs (
    fit TEXT PRIMARY KEY,
    seen INTEGER NOT NULL DEFAULT 0,          -- the newest label that a fit of any outcome has seen
    fresh INTEGER NOT NULL DEFAULT 0          -- how many labels are newer
);
INSERT INTO "motion_fit_runs" VALUES('Taste.learn',0,1);
CREATE TABLE motion_fits (name TEXT PRIMARY KEY, spec TEXT NOT NULL, is_active INTEGER NOT NULL);
INSERT INTO "motion_fits" VALUES('Taste.learn','{"name":"Taste.learn","component":"Taste","table":"note","on":["liked"],"every":100,"holdout":0.0,"promote":{"kind":"always","metric":null,"by":0.0,"lower":false},"fingerprint":"5c3c5dab235b0b7a","schedule":null,"rows":"new","timeout_s":null,"gate_on":null,"seen_by":null,"has_setup":true}',1);
CREATE TABLE motion_follows (  -- what runs of triggers with follow=True have read by hand, there or not
    name TEXT NOT NULL, id TEXT NOT NULL,         -- the table, and the id, as text
    pages TEXT NOT NULL,                          -- the page keys' values, with commas between them; empty: all pages
    key TEXT NOT NULL,                            -- the key; empty: all keys; id: only whether there is such a row
    trigger TEXT NOT NULL, row INTEGER NOT NULL,  -- who has read it
    PRIMARY KEY (name, id, pages, key, trigger, row)
) WITHOUT ROWID;
CREATE TABLE motion_forgets (  -- what was forgotten: numbers, and nothing of the rows themselves
    change INTEGER PRIMARY KEY,                   -- whose cascade is to be done before the file is rewritten
    at_ms INTEGER NOT NULL, told TEXT NOT NULL,   -- JSON
    is_done INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE motion_gone (  -- rows that were deleted while runs were under way that may write by hand
    name TEXT NOT NULL, id TEXT NOT NULL,         -- the table, and the id, as text
    number INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (name, id)
) WITHOUT ROWID;
CREATE TABLE motion_labels (
    label INTEGER PRIMARY KEY AUTOINCREMENT,  -- no number twice: lessons name labels that are deleted by now
    fit TEXT NOT NULL, row INTEGER NOT NULL, copy BLOB NOT NULL,
    is_held_out INTEGER NOT NULL,
    made_at INTEGER NOT NULL                  -- milliseconds since the epoch
, is_old INTEGER NOT NULL DEFAULT 0);
INSERT INTO "motion_labels" VALUES(1,'Taste.learn',1,X'85A26964A161A47061676500A474657874A36F6E65A66C656E67746803A56C696B656401',0,1795855427900,0);
CREATE TABLE motion_labels_due (  -- labels that wait for the end of the pending work on their rows
    fit TEXT NOT NULL, row INTEGER NOT NULL,
    was_there INTEGER NOT NULL DEFAULT 0,     -- it is of a row that was there before the fit
    PRIMARY KEY (fit, row)
) WITHOUT ROWID;
CREATE TABLE motion_left (  -- windows that rows have left in this transaction: entity and place in its order
    entry INTEGER PRIMARY KEY, source TEXT NOT NULL, key TEXT NOT NULL, value, place
);
CREATE TABLE motion_left_out (  -- rows that folds have given up; dead letters stand at the number below zero
    number INTEGER PRIMARY KEY, trigger TEXT NOT NULL, entity INTEGER NOT NULL, row INTEGER NOT NULL
);
CREATE TABLE motion_lessons (  -- which fit consumed a label, and the version it made
    label INTEGER NOT NULL, component TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (label, component, number)
) WITHOUT ROWID;
CREATE TABLE motion_makers (  -- of rows that several runs make, or users as well: what each run gave
    name TEXT NOT NULL, row INTEGER NOT NULL,     -- the table and the row that is made
    trigger TEXT NOT NULL, place TEXT NOT NULL,   -- the trigger, and id and pages of the row that it ran on
    item INTEGER NOT NULL, source INTEGER NOT NULL, given BLOB NOT NULL,
    PRIMARY KEY (name, row, trigger, place, item)
) WITHOUT ROWID;
CREATE TABLE motion_memo_rows (  -- of which rows a result is, so that it goes with the last of them
    trigger TEXT NOT NULL, row INTEGER NOT NULL, inputs BLOB NOT NULL, PRIMARY KEY (trigger, row, inputs)
) WITHOUT ROWID;
CREATE TABLE motion_memos (  -- results of triggers with memo=True, in stored form
    memo INTEGER PRIMARY KEY, trigger TEXT NOT NULL,
    inputs BLOB NOT NULL,                         -- digest of the code, the state versions and the inputs
    result BLOB NOT NULL, UNIQUE (trigger, inputs)
);
CREATE TABLE motion_moments (  -- when changes were committed, one entry in about 100 ms of activity
    number INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL  -- milliseconds since the epoch
);
INSERT INTO "motion_moments" VALUES(2,1795855427892);
CREATE TABLE motion_origins (
    origin INTEGER PRIMARY KEY, trigger TEXT NOT NULL, fingerprint TEXT NOT NULL, version INTEGER NOT NULL,
    calls INTEGER NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0,  -- of its calls, in all processes
    UNIQUE (trigger, fingerprint, version)
);
INSERT INTO "motion_origins" VALUES(1,'Taste.measure','3ade496298191a88',1,4,3.37051999849791172891e-04);
CREATE TABLE motion_parts (  -- of texts that are growing: what their runs have given; gone when whole
    trigger TEXT NOT NULL, row INTEGER NOT NULL,
    run INTEGER NOT NULL,                         -- names the run that gave it, by chance
    part INTEGER NOT NULL, text TEXT NOT NULL, number INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (trigger, row, run, part)
) WITHOUT ROWID;
CREATE TABLE motion_rates (  -- of a trigger with a rate: when its next call may begin, in milliseconds since the epoch
    trigger TEXT PRIMARY KEY, next_ms REAL NOT NULL
);
CREATE TABLE motion_refs (  -- keys that name rows of a table with which their own rows go
    name TEXT NOT NULL, key TEXT NOT NULL, target TEXT NOT NULL, PRIMARY KEY (name, key)
) WITHOUT ROWID;
CREATE TABLE motion_renamed (  -- components whose code has not been seen since they were renamed
    component TEXT PRIMARY KEY, was TEXT NOT NULL
);
CREATE TABLE "motion_rows_mourn:deleted:note" (":row" INTEGER PRIMARY KEY, "id" TEXT, "page" INTEGER, "text" TEXT, "length" INTEGER, "liked" BOOL_INT, "id:changed" INTEGER, "mourn:done" INTEGER, "other" INTEGER, "doubled" INTEGER, "text:changed" INTEGER);
INSERT INTO "motion_rows_mourn:deleted:note" VALUES(1,'c',0,'hold',4,NULL,9,NULL,NULL,NULL,NULL);
INSERT INTO "motion_rows_mourn:deleted:note" VALUES(2,'d',0,'four',4,NULL,12,NULL,NULL,NULL,NULL);
CREATE TABLE "motion_rows_note" (":row" INTEGER PRIMARY KEY, "id" TEXT NOT NULL, "page" INTEGER NOT NULL DEFAULT 0, "text" TEXT, "length" INTEGER, "liked" BOOL_INT, ":made_by" TEXT, ":made_from" INTEGER, ":made_item" INTEGER, "text:changed" INTEGER, "Taste.measure:done" INTEGER, "other" INTEGER, "doubled" INTEGER);
INSERT INTO "motion_rows_note" VALUES(1,'a',0,'one',0,1,NULL,NULL,NULL,2,3145729,NULL,NULL);
INSERT INTO "motion_rows_note" VALUES(2,'b',0,'no',NULL,NULL,NULL,NULL,NULL,4,0,NULL,NULL);
INSERT INTO "motion_rows_note" VALUES(5,'e',0,'waits',NULL,NULL,NULL,NULL,NULL,11,NULL,NULL,NULL);
CREATE TABLE motion_schedules (  -- when what has a schedule occurs next, in milliseconds since the epoch
    name TEXT PRIMARY KEY, schedule TEXT NOT NULL, next_ms INTEGER NOT NULL
);
CREATE TABLE motion_seen (      -- rows as they were when a run first set a key for their `on` values
    seen INTEGER PRIMARY KEY, name TEXT NOT NULL, row INTEGER NOT NULL, key TEXT NOT NULL,
    number INTEGER NOT NULL,                  -- the change that these values are as of
    copy BLOB NOT NULL, UNIQUE (name, row, key)
);
CREATE TABLE motion_states (
    component TEXT NOT NULL, number INTEGER NOT NULL, status TEXT NOT NULL, parent INTEGER,
    manifest TEXT,                           -- what it is made of; NULL: it failed, or is not kept any more
    labels INTEGER NOT NULL, metrics TEXT NOT NULL, created_at TEXT NOT NULL, duration_s REAL NOT NULL,
    fit TEXT,                                -- the fit that made it; NULL: `setup`
    fingerprint TEXT,                        -- of the code that made it
    since INTEGER, until INTEGER, notes TEXT NOT NULL DEFAULT '{}', stage TEXT,            -- changes at which it was promoted, and last retired
    PRIMARY KEY (component, number)
);
INSERT INTO "motion_states" VALUES('Taste',1,'live',NULL,'{"format":1,"tree":1}',0,'{}','2026-11-28T08:43:47.894216+00:00',6.19930000311796902678e-05,NULL,'0923c84886ef7f75',2,NULL,'{}',NULL);
CREATE TABLE motion_switches (  -- outputs that went live, until the numbers of their changes are put right
    trigger TEXT PRIMARY KEY, component TEXT NOT NULL, change INTEGER NOT NULL,
    before INTEGER NOT NULL, version INTEGER NOT NULL,  -- that was live, and that is
    next INTEGER NOT NULL                               -- the first row that is not put right
);
CREATE TABLE motion_tables (
    name TEXT PRIMARY KEY, signature TEXT NOT NULL,
    last_id INTEGER NOT NULL DEFAULT 0  -- the largest id that a deleted row had
, last_row INTEGER NOT NULL DEFAULT 0);
INSERT INTO "motion_tables" VALUES('note','{"id":"str","page":"page int","text":"str","length":"int","other":"int","doubled":"int","liked":"bool"}',0,0);
CREATE TABLE motion_task_changes (  -- further changes that wait for a task, after coalescing
    task INTEGER NOT NULL, change INTEGER NOT NULL, PRIMARY KEY (change, task)
) WITHOUT ROWID;
CREATE TABLE motion_tasks (
    task INTEGER PRIMARY KEY, trigger TEXT NOT NULL,
    low INTEGER NOT NULL, high INTEGER NOT NULL,      -- rows, both included: those of them that are due
    number INTEGER NOT NULL,                          -- the change that made them due
    version INTEGER,                                  -- the candidate to build outputs for; NULL: the live version
    change INTEGER NOT NULL,                          -- the change from outside that caused it
    path TEXT NOT NULL,                               -- the triggers whose free writes led here, one a line
    priority INTEGER NOT NULL, status INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,            -- milliseconds since the epoch, of one that is postponed
    losses INTEGER NOT NULL DEFAULT 0,                -- processes that ended while they held it
    expires_ms INTEGER,                               -- milliseconds since the epoch, after which it is dropped
    owner TEXT, error TEXT, inputs TEXT
, claim INTEGER NOT NULL DEFAULT 0, among INTEGER NOT NULL DEFAULT 0, conflicts INTEGER NOT NULL DEFAULT 0, line TEXT, place, tie);
INSERT INTO "motion_tasks" VALUES(4,'Taste.measure',2,2,8,NULL,4,'',0,2,1,0,0,NULL,NULL,'Traceback (most recent call last):
  File "make.py", line 19, in measure
    raise ValueError(text)
ValueError: no
','text=''no''',0,0,0,NULL,NULL,NULL);
INSERT INTO "motion_tasks" VALUES(6,'mourn',1,1,10,NULL,9,'',0,2,1,0,0,NULL,NULL,'Traceback (most recent call last):
  File "make.py", line 28, in mourn
    raise ValueError("hold")
ValueError: hold
','text=''hold''',0,0,0,NULL,NULL,NULL);
INSERT INTO "motion_tasks" VALUES(7,'Taste.measure',5,5,11,NULL,11,'',0,0,0,0,0,NULL,NULL,NULL,NULL,0,0,0,NULL,NULL,NULL);
INSERT INTO "motion_tasks" VALUES(8,'mourn',2,2,12,NULL,12,'',0,0,0,0,0,NULL,NULL,NULL,NULL,0,0,0,NULL,NULL,NULL);
CREATE TABLE motion_traces (  -- the spans that writes from outside were made in, where they are traced
    change INTEGER PRIMARY KEY, line TEXT NOT NULL
);
CREATE TABLE motion_triggers (name TEXT PRIMARY KEY, spec TEXT NOT NULL, is_active INTEGER NOT NULL);
INSERT INTO "motion_triggers" VALUES('Taste.measure','{"page":null,"batch":null,"retries":0,"discard_after_s":null,"discard_beyond":null,"timeout_s":null,"concurrency":1,"priority":null,"refresh":"never","inline":null,"on_change":null,"rate":null,"batch_wait_s":null,"memo":false,"isolated":null,"once":false,"serial_by":null,"executor":null,"resources":{"cpus":0,"gpus":0},"name":"Taste.measure","table":"note","on":["text"],"parameters":[{"name":"state","kind":"state","is_optional":false,"component":"Taste","lookup":null,"window":null},{"name":"text","kind":"key","is_optional":false,"component":null,"lookup":null,"window":null}],"sets":["length"],"sets_table":null,"fingerprint":"58fda7bfa068523d","is_async":false,"is_generator":false,"component":"Taste","has_when":false,"schedule":null,"after_ms":null,"deleted":null,"searches":[],"fold":null}',1);
INSERT INTO "motion_triggers" VALUES('mourn','{"page":null,"batch":null,"retries":0,"discard_after_s":null,"discard_beyond":null,"timeout_s":null,"concurrency":1,"priority":null,"refresh":"never","inline":null,"on_change":null,"rate":null,"batch_wait_s":null,"memo":false,"isolated":null,"once":false,"serial_by":null,"executor":null,"resources":{"cpus":0,"gpus":0},"name":"mourn","table":"mourn:deleted:note","on":["id"],"parameters":[{"name":"text","kind":"key","is_optional":true,"component":null,"lookup":null,"window":null}],"sets":[],"sets_table":null,"fingerprint":"564e55c7717d1211","is_async":false,"is_generator":false,"component":null,"has_when":false,"schedule":null,"after_ms":null,"deleted":"note","searches":[],"fold":null}',1);
CREATE TABLE motion_used (  -- what values were made from, where that has become another since
    trigger TEXT NOT NULL, slot INTEGER NOT NULL, -- the row
    since INTEGER NOT NULL, until INTEGER NOT NULL,  -- the changes that have set it, and taken it away
    key TEXT NOT NULL, value,
    PRIMARY KEY (trigger, slot, key)
) WITHOUT ROWID;
CREATE TABLE motion_vector_log (  -- rows whose vectors changed: what an index must catch up with
    entry INTEGER PRIMARY KEY, key TEXT NOT NULL, slot INTEGER NOT NULL
);
CREATE INDEX motion_tasks_ready ON motion_tasks (status, trigger, priority DESC, attempts, task);
CREATE INDEX motion_tasks_rows ON motion_tasks (trigger, low);
CREATE INDEX motion_tasks_wide ON motion_tasks (trigger, low) WHERE high > low;
CREATE INDEX motion_tasks_expiring ON motion_tasks (trigger, expires_ms) WHERE expires_ms NOT NULL;
CREATE INDEX motion_tasks_builds ON motion_tasks (trigger, version, status) WHERE version NOT NULL;
CREATE INDEX motion_tasks_change ON motion_tasks (change);
CREATE INDEX motion_task_changes_task ON motion_task_changes (task);
CREATE INDEX motion_labels_row ON motion_labels (fit, row);
CREATE INDEX motion_labels_fit ON motion_labels (fit);
CREATE INDEX motion_lessons_version ON motion_lessons (component, number);
CREATE UNIQUE INDEX "motion_index_note_primary" ON "motion_rows_note" ("id", "page");
CREATE INDEX "motion_index_note_made" ON "motion_rows_note" (":made_from", ":made_by") WHERE ":made_by" IS NOT NULL;
CREATE INDEX motion_tasks_conflicts ON motion_tasks (status) WHERE conflicts >= 3;
CREATE INDEX motion_tasks_suspects ON motion_tasks (losses, task) WHERE among > 0;
CREATE INDEX motion_makers_source ON motion_makers (trigger, source);
CREATE INDEX motion_asked_open ON motion_asked (component, fit) WHERE outcome IS NULL;
CREATE INDEX motion_memo_rows_inputs ON motion_memo_rows (trigger, inputs);
CREATE VIEW "note" AS SELECT r."id" AS "id", r."page" AS "page", r."text" AS "text", r."length" AS "length", r."other" AS "other", r."doubled" AS "doubled", r."liked" AS "liked" FROM "motion_rows_note" r;
CREATE VIEW "note__stored" AS SELECT r."id" AS "id", r."page" AS "page", r."text" AS "text", r."length" AS "length", r."other" AS "other", r."doubled" AS "doubled", r."liked" AS "liked" FROM "motion_rows_note" r;
CREATE INDEX motion_tasks_lines ON motion_tasks (trigger, line, place, tie) WHERE line IS NOT NULL;
CREATE INDEX motion_tasks_in_line ON motion_tasks (trigger, line, status) WHERE line IS NOT NULL;
CREATE INDEX motion_tasks_dead ON motion_tasks (trigger, task) WHERE status = 2;
CREATE INDEX motion_left_out_row ON motion_left_out (trigger, entity, row);
CREATE INDEX motion_tasks_later  -- with the status first, as motion_tasks_ready has it, which would be taken else
    ON motion_tasks (status, trigger, not_before) WHERE status = 4;
CREATE TRIGGER "motion_used_8bd9b2729ceee124" AFTER UPDATE OF "text" ON "motion_rows_note" WHEN OLD."Taste.measure:done" & 1048575 <> 0 AND NEW."Taste.measure:done" IS NOT DISTINCT FROM OLD."Taste.measure:done" BEGIN INSERT INTO motion_used (trigger, slot, key, since, until, value) SELECT 'Taste.measure', OLD.":row", 'text', COALESCE(OLD."text:changed", 0), NEW."text:changed", OLD."text" WHERE OLD."text" IS DISTINCT FROM NEW."text" AND (COALESCE(OLD."text:changed", 0) <= OLD."Taste.measure:done" >> 20 OR OLD."Taste.measure:done" >> 20 = 0 AND NOT EXISTS (SELECT 1 FROM motion_used WHERE trigger = 'Taste.measure' AND slot = OLD.":row" AND key = 'text')) AND COALESCE(LENGTH(OLD."text"), 0) <= 10000 ON CONFLICT (trigger, slot, key) DO NOTHING; END;
CREATE TRIGGER "motion_used_5c08f4619e8f28b4" AFTER UPDATE OF "Taste.measure:done" ON "motion_rows_note" WHEN OLD."Taste.measure:done" & 1048575 <> 0 AND NEW."Taste.measure:done" >> 20 > OLD."Taste.measure:done" >> 20 BEGIN DELETE FROM motion_used WHERE trigger = 'Taste.measure' AND slot = NEW.":row"; END;
CREATE INDEX motion_follows_row ON motion_follows (trigger, row);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('motion_labels',1);
COMMIT;
