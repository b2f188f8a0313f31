-- Hexadecimal digits mean the same in either case, letters of base64 do not: a key that is all hex is kept in lower case,
-- and the borrowers that are thereby found to be one person are joined, as intake joins them.
UPDATE borrower SET person_key = lower(person_key) WHERE person_key ~ '^[0-9A-Fa-f]+$' AND person_key ~ '[A-F]';

UPDATE borrower b SET same_as = nullif(led.first, b.id)
FROM (SELECT id, min(id) OVER (PARTITION BY person_key) AS first FROM borrower WHERE person_key IS NOT NULL) led
WHERE led.id = b.id AND b.same_as IS DISTINCT FROM nullif(led.first, b.id);

-- Whose row waits, by the key that can be read of it: it holds that person, though it tells of another borrower.
ALTER TABLE quarantine ADD COLUMN person_key TEXT;
UPDATE quarantine q SET person_key = CASE WHEN k.key ~ '^[0-9A-Fa-f]+$' THEN lower(k.key) ELSE k.key END
FROM (SELECT id, btrim(row ->> 'person_key') AS key FROM quarantine WHERE table_name = 'borrowers') k
WHERE k.id = q.id AND k.key ~ '^[A-Za-z0-9+/=_-]{32,128}$';
CREATE INDEX quarantine_of_person ON quarantine (person_key) WHERE settled_at IS NULL AND person_key IS NOT NULL;

-- The accounts, few, of whose person a row waits; or of whose borrower a contact was left out: then contacts are on record
-- since that import only. A person is held by what waits of any of their borrowers, one without a loan included, and of
-- the whole of a book that one of them is in.
CREATE OR REPLACE VIEW account_held AS
WITH told AS (
	SELECT i.book_id, q.loan_ref, q.borrower_ref, q.person_key, q.settled_at IS NULL AS waits, i.taken_on
	FROM quarantine q JOIN import i ON i.id = q.import_id
	WHERE q.settled_at IS NULL OR (q.settled_how = 'dropped' AND q.table_name = 'contacts')
), who AS (
	SELECT a.borrower_id, t.waits, t.taken_on FROM told t JOIN account a ON a.book_id = t.book_id AND a.ref = t.loan_ref
	UNION ALL
	SELECT b.id, t.waits, t.taken_on FROM told t JOIN borrower b ON b.book_id = t.book_id AND b.ref = t.borrower_ref
	UNION ALL
	SELECT b.id, true, t.taken_on FROM told t JOIN borrower b ON b.person_key = t.person_key WHERE t.waits
	UNION ALL
	SELECT b.id, true, NULL FROM borrower b JOIN book_record r ON r.book_id = b.book_id
	WHERE r.rows_waiting AND (b.same_as IS NOT NULL OR EXISTS (SELECT FROM borrower o WHERE o.same_as = b.id))
)
SELECT a.id AS account_id, bool_or(w.waits) AS rows_waiting,
	max(w.taken_on) FILTER (WHERE NOT w.waits AND w.borrower_id = a.borrower_id) AS gap_until
FROM who w JOIN borrower self ON self.id = w.borrower_id
	JOIN borrower b ON coalesce(b.same_as, b.id) = coalesce(self.same_as, self.id)
	JOIN account a ON a.borrower_id = b.id
GROUP BY a.id;

-- What is assumed of every account of a book, without a code in each.
ALTER TABLE derivation ADD COLUMN of_all BOOLEAN NOT NULL DEFAULT false;
