CREATE INDEX audit_kind ON audit (object_kind, number);
DROP TRIGGER audit_whole;
CREATE TRIGGER audit_whole BEFORE DELETE ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE object_kind = old.object_kind AND number < old.number)
  OR NOT EXISTS (SELECT 1 FROM audit WHERE object_kind = old.object_kind AND number > old.number)
BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only: but the oldest entries of a kind, none goes');
END;
