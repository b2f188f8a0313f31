-- Imports of before: their pictures' days; which tables they held is known of the public data sets alone, so a book
-- in our own format is not contacted again until its contacts are taken in anew.
UPDATE import SET taken_on = coalesce((SELECT snapshot_on FROM book WHERE id = book_id), (started_at AT TIME ZONE 'UTC')::date);
UPDATE import SET tables = '{borrowers,loans,instalments,payments,contacts}' WHERE mapping::jsonb ->> 'shape' <> 'forbear';
ALTER TABLE import ALTER taken_on SET NOT NULL;
UPDATE book SET recorded_from = coalesce(history_from, snapshot_on), recorded_until = snapshot_on WHERE synthetic;
UPDATE book b SET recorded_from = first, recorded_until = last FROM (
	SELECT book_id, min(taken_on) AS first, max(taken_on) AS last FROM import
	WHERE finished_at IS NOT NULL AND 'contacts' = ANY (tables) GROUP BY book_id
) AS known WHERE known.book_id = b.id;
UPDATE quarantine q SET
	loan_ref = nullif(trim(CASE WHEN own THEN row ->> CASE table_name WHEN 'loans' THEN 'ref' WHEN 'borrowers' THEN '' ELSE 'loan_ref' END ELSE row ->> number END), ''),
	borrower_ref = nullif(trim(CASE WHEN own THEN row ->> CASE table_name WHEN 'borrowers' THEN 'ref' WHEN 'loans' THEN 'borrower_ref' ELSE '' END ELSE row ->> number END), ''),
	row_ref = nullif(trim(CASE WHEN own THEN row ->> CASE table_name WHEN 'instalments' THEN 'n' ELSE 'ref' END ELSE row ->> number END), '')
FROM (
	SELECT id, mapping::jsonb ->> 'shape' = 'forbear' AS own, mapping::jsonb -> 'columns' ->> 'ref' AS number FROM import
) AS i WHERE i.id = q.import_id;

CREATE INDEX quarantine_waiting ON quarantine (import_id) WHERE settled_at IS NULL;

-- Of each book: until when every contact is on record, and since when; does something wait that may be of any loan?
CREATE VIEW book_record AS
SELECT b.id AS book_id, b.recorded_until,
	greatest(coalesce(b.history_from, b.recorded_from), (
		SELECT max(i.taken_on) FROM quarantine q JOIN import i ON i.id = q.import_id
		WHERE i.book_id = b.id AND q.table_name = 'contacts' AND q.settled_how = 'dropped' AND q.loan_ref IS NULL
	)) AS history_from,
	EXISTS (
		SELECT FROM import o WHERE o.book_id = b.id AND o.finished_at IS NULL AND NOT EXISTS (
			SELECT FROM import n WHERE n.book_id = b.id AND n.finished_at IS NOT NULL
			AND (n.taken_on, n.id) > (o.taken_on, o.id) AND n.tables @> o.tables
		)
	) OR EXISTS (
		SELECT FROM quarantine q JOIN import i ON i.id = q.import_id
		WHERE i.book_id = b.id AND q.settled_at IS NULL AND q.loan_ref IS NULL AND q.borrower_ref IS NULL
	) AS rows_waiting
FROM book b;

-- The accounts, few, of whose borrower a row waits, or a contact was left out: then contacts are on record since that
-- import only.
CREATE VIEW account_held AS
WITH told AS (
	SELECT i.book_id, q.loan_ref, q.borrower_ref, q.settled_at IS NULL AS waits, i.taken_on
	FROM quarantine q JOIN import i ON i.id = q.import_id
	WHERE q.settled_at IS NULL OR (q.settled_how = 'dropped' AND q.table_name = 'contacts')
), who AS (
	SELECT a.borrower_id, t.waits, t.taken_on FROM told t JOIN account a ON a.book_id = t.book_id AND a.ref = t.loan_ref
	UNION ALL
	SELECT b.id, t.waits, t.taken_on FROM told t JOIN borrower b ON b.book_id = t.book_id AND b.ref = t.borrower_ref
)
SELECT a.id AS account_id, bool_or(w.waits) AS rows_waiting, max(w.taken_on) FILTER (WHERE NOT w.waits) AS gap_until
FROM who w JOIN account a ON a.borrower_id = w.borrower_id GROUP BY a.id;
