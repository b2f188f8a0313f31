-- The journal. What must never be false of it is held here, whoever writes: docs/decisions/0005-journal.md says why so.

-- A payment counts from paid_on until the day before taken_back_on: a mistake never counted (the same day), a
-- chargeback counted until it came.
ALTER TABLE payment ADD taken_back_on DATE, ADD CONSTRAINT taken_back_later CHECK (taken_back_on >= paid_on);

CREATE TABLE account_event (
	account_id BIGINT NOT NULL,
	key TEXT NOT NULL,
	kind TEXT NOT NULL,
	value_on DATE NOT NULL,
	booked_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	detail JSONB NOT NULL,
	PRIMARY KEY (account_id, key),
	FOREIGN KEY(account_id) REFERENCES account (id)
);

CREATE TABLE journal_transaction (
	id BIGINT GENERATED ALWAYS AS IDENTITY,
	account_id BIGINT NOT NULL,
	key TEXT NOT NULL,
	kind TEXT NOT NULL,
	value_on DATE NOT NULL,
	booked_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	reverses BIGINT,
	memo TEXT,
	first_line SMALLINT DEFAULT 1 NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (account_id, key),
	CONSTRAINT first_line_is_one CHECK (first_line = 1),
	FOREIGN KEY(account_id) REFERENCES account (id),
	FOREIGN KEY(reverses) REFERENCES journal_transaction (id)
);

-- At most once: a transaction is reversed, or it is not.
CREATE UNIQUE INDEX journal_reversed_once ON journal_transaction (reverses) WHERE reverses IS NOT NULL;

CREATE TABLE journal_entry (
	transaction_id BIGINT NOT NULL,
	line SMALLINT NOT NULL,
	ledger_account TEXT NOT NULL,
	amount_minor BIGINT NOT NULL,
	currency TEXT NOT NULL,
	PRIMARY KEY (transaction_id, line),
	CONSTRAINT amount_not_zero CHECK (amount_minor <> 0),
	FOREIGN KEY(transaction_id) REFERENCES journal_transaction (id)
);

-- No transaction without entries: each has its line 1 by the end of the database's own transaction.
ALTER TABLE journal_transaction ADD CONSTRAINT journal_transaction_has_entries
	FOREIGN KEY (id, first_line) REFERENCES journal_entry (transaction_id, line) DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE account_state (
	account_id BIGINT NOT NULL,
	id BIGINT GENERATED ALWAYS AS IDENTITY,
	as_of DATE NOT NULL,
	recorded_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	cause TEXT NOT NULL,
	dpd INTEGER NOT NULL,
	oldest_due_on DATE,
	bucket TEXT NOT NULL,
	class TEXT NOT NULL,
	arrears_minor BIGINT NOT NULL,
	owed_minor BIGINT NOT NULL,
	PRIMARY KEY (account_id, id),
	FOREIGN KEY(account_id) REFERENCES account (id)
);

CREATE VIEW journal_balance AS
	SELECT t.account_id, e.ledger_account, e.currency, sum(e.amount_minor)::bigint AS amount_minor
	FROM journal_transaction t JOIN journal_entry e ON e.transaction_id = t.id
	GROUP BY t.account_id, e.ledger_account, e.currency;

-- ---- append only -----------------------------------------------------------------------------------

-- Truncating a book empties the tables that refer to it: an empty journal loses nothing by that.
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE holds boolean := true;
BEGIN
	IF TG_OP = 'TRUNCATE' THEN
		EXECUTE format('SELECT EXISTS (SELECT FROM %I)', TG_TABLE_NAME) INTO holds;
	END IF;
	IF NOT holds THEN
		RETURN NULL;
	END IF;
	RAISE EXCEPTION '% is append-only: nothing in it is edited or removed; post a reversal instead', TG_TABLE_NAME
		USING ERRCODE = 'restrict_violation';
END $$;

-- ALWAYS: also where a session calls itself a replica, which silences ordinary triggers.
DO $$
DECLARE name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['account_event', 'journal_transaction', 'journal_entry', 'account_state'] LOOP
		EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
			FOR EACH STATEMENT EXECUTE FUNCTION append_only()', name);
		EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', name);
	END LOOP;
END $$;

-- A payment of an account that is in the journal is an event like the others; it may be taken back, once.
CREATE FUNCTION payment_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'UPDATE' THEN
		IF OLD.taken_back_on IS NULL AND (OLD.account_id, OLD.ref, OLD.paid_on, OLD.amount_minor)
			IS NOT DISTINCT FROM (NEW.account_id, NEW.ref, NEW.paid_on, NEW.amount_minor) THEN
			RETURN NEW;
		END IF;
	END IF;
	IF EXISTS (SELECT FROM journal_transaction t WHERE t.account_id = OLD.account_id) THEN
		RAISE EXCEPTION 'this payment is in the journal: it is not edited or removed; post a reversal instead'
			USING ERRCODE = 'restrict_violation';
	END IF;
	IF TG_OP = 'DELETE' THEN
		RETURN OLD;
	END IF;
	RETURN NEW;
END $$;

CREATE TRIGGER payment_stays BEFORE UPDATE OR DELETE ON payment FOR EACH ROW EXECUTE FUNCTION payment_stays();
ALTER TABLE payment ENABLE ALWAYS TRIGGER payment_stays;

-- ---- whole -----------------------------------------------------------------------------------------

-- Of the transactions that one statement brings: booked now, and a reversal undoes one transaction of the same
-- account on its own value date, never another reversal.
CREATE FUNCTION journal_transaction_sound() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wrong bigint;
BEGIN
	IF EXISTS (SELECT FROM incoming WHERE booked_at <> now()) THEN
		RAISE EXCEPTION 'booked_at is when the database booked it, and no other instant'
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

CREATE TRIGGER journal_transaction_sound AFTER INSERT ON journal_transaction REFERENCING NEW TABLE AS incoming
	FOR EACH STATEMENT EXECUTE FUNCTION journal_transaction_sound();
ALTER TABLE journal_transaction ENABLE ALWAYS TRIGGER journal_transaction_sound;

-- Of the entries that one statement brings: all lines of each transaction, from 1 on without a gap (so that, by the
-- primary key, no later statement can add one), that sum to zero in each currency; of a reversal, the same lines
-- with the opposite sign.
CREATE FUNCTION journal_entries_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	wrong bigint;
	gap boolean;
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
	SELECT t.id INTO wrong FROM journal_transaction t
	WHERE t.id IN (SELECT transaction_id FROM incoming) AND t.reverses IS NOT NULL AND EXISTS (
		SELECT FROM (SELECT * FROM incoming WHERE transaction_id = t.id) i
		FULL JOIN (SELECT * FROM journal_entry WHERE transaction_id = t.reverses) o
			ON o.line = i.line AND o.ledger_account = i.ledger_account AND o.currency = i.currency
			AND o.amount_minor = -i.amount_minor
		WHERE i.line IS NULL OR o.line IS NULL) LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'transaction %: a reversal has the lines of what it reverses with the opposite sign', wrong
			USING ERRCODE = 'check_violation';
	END IF;
	RETURN NULL;
END $$;

CREATE TRIGGER journal_entries_whole AFTER INSERT ON journal_entry REFERENCING NEW TABLE AS incoming
	FOR EACH STATEMENT EXECUTE FUNCTION journal_entries_whole();
ALTER TABLE journal_entry ENABLE ALWAYS TRIGGER journal_entries_whole;
