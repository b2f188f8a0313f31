-- Where the ledger goes on with an account after its last event: made from what is on file, and dropped by whatever
-- else changes that. Losing a row costs a replay, no more.
CREATE TABLE account_carried (
	account_id BIGINT NOT NULL,
	terms JSON NOT NULL,
	carried JSON NOT NULL,
	PRIMARY KEY (account_id),
	FOREIGN KEY(account_id) REFERENCES account (id)
) WITH (fillfactor = 45);

CREATE FUNCTION carry_no_more() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('DELETE FROM account_carried WHERE account_id IN (SELECT %I FROM changed)', TG_ARGV[0]);
	RETURN NULL;
END $$;

-- A session that posts writes the new row in the place of the old one, and says so by forbear.posting.
DO $$
DECLARE changed text[];
BEGIN
	FOREACH changed SLICE 1 IN ARRAY ARRAY[
		['account', 'id', 'UPDATE', 'OLD'],
		['instalment', 'account_id', 'INSERT', 'NEW'], ['instalment', 'account_id', 'UPDATE', 'NEW'],
		['instalment', 'account_id', 'DELETE', 'OLD'],
		['payment', 'account_id', 'INSERT', 'NEW'], ['payment', 'account_id', 'UPDATE', 'NEW'],
		['payment', 'account_id', 'DELETE', 'OLD'],
		['account_event', 'account_id', 'INSERT', 'NEW']] LOOP
		EXECUTE format('CREATE TRIGGER carry_no_more_%s AFTER %s ON %I REFERENCING %s TABLE AS changed
			FOR EACH STATEMENT WHEN (current_setting(''forbear.posting'', true) IS DISTINCT FROM ''on'')
			EXECUTE FUNCTION carry_no_more(%L)', lower(changed[3]), changed[3], changed[1], changed[4], changed[2]);
		EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER carry_no_more_%s', changed[1], lower(changed[3]));
	END LOOP;
END $$;
