-- What the journal's foreign keys asked of each row is asked once of a statement: a key costs as much as the row itself.
-- Nothing of the journal is ever removed, so that what was true when it came in stays true.
ALTER TABLE journal_transaction DROP CONSTRAINT journal_transaction_has_entries;
ALTER TABLE journal_transaction DROP COLUMN first_line;
ALTER TABLE journal_entry DROP CONSTRAINT journal_entry_transaction_id_fkey;

-- Of the transactions that one statement brings: booked now, with entries that the same statement brings, and a
-- reversal undoes one transaction of the same account on its own value date, never another reversal.
CREATE OR REPLACE FUNCTION journal_transaction_sound() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wrong bigint;
BEGIN
	IF EXISTS (SELECT FROM incoming WHERE booked_at <> now()) THEN
		RAISE EXCEPTION 'booked_at is when the database booked it, and no other instant'
			USING ERRCODE = 'check_violation';
	END IF;
	-- By a subquery for each row: by a join the whole table would be read.
	SELECT i.id INTO wrong FROM incoming i
	WHERE (SELECT e.line FROM journal_entry e WHERE e.transaction_id = i.id AND e.line = 1) IS NULL LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'transaction %: it has no entries; they come in the statement that brings it', wrong
			USING ERRCODE = 'check_violation';
	END IF;
	IF EXISTS (SELECT FROM incoming WHERE reverses IS NOT NULL) THEN
		SELECT i.id INTO wrong FROM incoming i JOIN journal_transaction o ON o.id = i.reverses
		WHERE o.reverses IS NOT NULL OR o.account_id <> i.account_id OR o.value_on <> i.value_on LIMIT 1;
		IF FOUND THEN
			RAISE EXCEPTION 'transaction %: a reversal undoes a transaction of the same account, on its own value date, and no reversal', wrong
				USING ERRCODE = 'check_violation';
		END IF;
	END IF;
	RETURN NULL;
END $$;

-- Of the entries that one statement brings: of a transaction that there is, all its lines, from 1 on without a gap (so
-- that, by the primary key, no later statement can add one), that sum to zero in each currency; of a reversal, the
-- same lines with the opposite sign.
CREATE OR REPLACE FUNCTION journal_entries_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	wrong bigint;
	gap boolean;
	missing boolean;
BEGIN
	SELECT transaction_id, grouping(currency) = 1 INTO wrong, gap FROM incoming
	GROUP BY GROUPING SETS ((transaction_id), (transaction_id, currency))
	HAVING CASE grouping(currency) WHEN 1 THEN min(line) <> 1 OR max(line) <> count(*) ELSE sum(amount_minor) <> 0 END
	LIMIT 1;
	IF gap THEN
		RAISE EXCEPTION 'transaction %: its entries come all in one statement, as lines 1, 2, 3 and so on', wrong
			USING ERRCODE = 'check_violation';
	ELSIF wrong IS NOT NULL THEN
		RAISE EXCEPTION 'transaction %: its entries do not sum to zero in each currency', wrong
			USING ERRCODE = 'check_violation';
	END IF;
	SELECT i.transaction_id, t.id IS NULL INTO wrong, missing
	FROM incoming i LEFT JOIN LATERAL (
		SELECT id, reverses FROM journal_transaction WHERE id = i.transaction_id OFFSET 0) t ON true
	WHERE i.line = 1 AND (t.id IS NULL OR t.reverses IS NOT NULL AND EXISTS (
		SELECT FROM (SELECT * FROM incoming WHERE transaction_id = t.id) n
		FULL JOIN (SELECT * FROM journal_entry WHERE transaction_id = t.reverses) o
			ON o.line = n.line AND o.ledger_account = n.ledger_account AND o.currency = n.currency
			AND o.amount_minor = -n.amount_minor
		WHERE n.line IS NULL OR o.line IS NULL)) LIMIT 1;
	IF missing THEN
		RAISE EXCEPTION 'transaction %: there is none of that number for these entries', wrong
			USING ERRCODE = 'foreign_key_violation';
	ELSIF wrong IS NOT NULL THEN
		RAISE EXCEPTION 'transaction %: a reversal has the lines of what it reverses with the opposite sign', wrong
			USING ERRCODE = 'check_violation';
	END IF;
	RETURN NULL;
END $$;

-- Instalments that are far are seldom read or written, the rest with each payment. The cache starts afresh.
DELETE FROM account_carried;
ALTER TABLE account_carried ADD COLUMN far JSON NOT NULL;
