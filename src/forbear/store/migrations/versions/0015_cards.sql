-- A card whose purchases, cash and fees are on file as events; a card without a row here has only what is told of it.
CREATE TABLE card_terms (
	account_id BIGINT NOT NULL,
	first_statement_on DATE NOT NULL,
	due_days SMALLINT NOT NULL,
	minimum_ppm BIGINT NOT NULL,
	minimum_floor_minor BIGINT DEFAULT 0 NOT NULL,
	cash_minimum_ppm BIGINT,
	unpaid_only BOOLEAN DEFAULT false NOT NULL,
	PRIMARY KEY (account_id),
	FOREIGN KEY(account_id) REFERENCES account (id),
	-- As the ledger's CardTerms has them: what is on file can be folded.
	CONSTRAINT due_before_next CHECK (due_days BETWEEN 1 AND 27),
	CONSTRAINT minimum_is_a_part CHECK (minimum_ppm BETWEEN 0 AND 1000000 AND cash_minimum_ppm BETWEEN 0 AND 1000000),
	CONSTRAINT floor_not_negative CHECK (minimum_floor_minor >= 0)
);

-- A place among the events of a day was given a number anew: the cache of where the ledger goes on starts afresh.
DELETE FROM account_carried;
