CREATE TABLE task_io (
  task_id TEXT NOT NULL,        -- whose data it is
  direction TEXT NOT NULL,      -- in or out
  row_count INTEGER NOT NULL,   -- rows told of, summed up
  byte_count INTEGER NOT NULL,  -- bytes told of, summed up
  execution_id TEXT NOT NULL,   -- execution the task belongs to, '' if it was not known
  PRIMARY KEY (task_id, direction)
) WITHOUT ROWID;
CREATE INDEX task_io_execution ON task_io (execution_id);
