-- What a ceiling on the yearly cost removes of the contract; what is demanded is the rest.
ALTER TABLE instalment ADD removed_minor BIGINT DEFAULT 0 NOT NULL,
	ADD CONSTRAINT removed_of_interest CHECK (removed_minor >= 0 AND removed_minor <= interest_minor);
CREATE INDEX instalment_removed ON instalment (account_id) WHERE removed_minor > 0;
ALTER TABLE account ADD removed_penalty_ppm BIGINT DEFAULT 0 NOT NULL,
	ADD CONSTRAINT removed_of_penalty CHECK (removed_penalty_ppm >= 0 AND removed_penalty_ppm <= penalty_rate_ppm),
	ADD allocation_order TEXT;
CREATE INDEX account_removed ON account (book_id) WHERE removed_penalty_ppm > 0;

-- By which rulebook the book was held to the ceilings last; NULL: by none yet.
ALTER TABLE book ADD held_sha256 TEXT,
	ADD allocation_order TEXT DEFAULT 'instalments_first' NOT NULL;
-- Books of before: those of China by the Civil Code where nothing of them is in the journal yet, so that no posting
-- that was acknowledged settles otherwise now.
UPDATE book b SET allocation_order = CASE jurisdiction WHEN 'cn' THEN 'cn_civil_code' ELSE 'us_no_pyramiding' END
WHERE jurisdiction IN ('cn', 'us')
	AND NOT EXISTS (SELECT FROM account_state s JOIN account a ON a.id = s.account_id WHERE a.book_id = b.id);

-- Where an account stood day by day: what is known now of each day (the newest row of it), what was known first, and
-- what a night decided on that day.
CREATE VIEW account_history AS
WITH state AS (
	SELECT DISTINCT ON (account_id, as_of) account_id, as_of, dpd, bucket, class, arrears_minor, owed_minor, cause,
		recorded_at, count(*) OVER day - 1 AS restated, first_value(dpd) OVER told AS dpd_first,
		first_value(bucket) OVER told AS bucket_first, first_value(class) OVER told AS class_first
	FROM account_state
	WINDOW day AS (PARTITION BY account_id, as_of),
		told AS (PARTITION BY account_id, as_of ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
	ORDER BY account_id, as_of, id DESC
), night AS (
	SELECT DISTINCT ON (d.account_id, r.as_of) d.account_id, r.as_of, r.id AS run_id, d.step, d.dpd, d.arrears
	FROM decision d JOIN run r ON r.id = d.run_id ORDER BY d.account_id, r.as_of, r.id DESC
)
SELECT coalesce(s.account_id, n.account_id) AS account_id, coalesce(s.as_of, n.as_of) AS as_of,
	coalesce(s.dpd, n.dpd) AS dpd, s.bucket, s.class, coalesce(s.arrears_minor, n.arrears) AS arrears_minor,
	s.owed_minor, s.cause, s.recorded_at, coalesce(s.restated, 0) AS restated, s.dpd_first, s.bucket_first,
	s.class_first, n.run_id, n.step, n.dpd AS dpd_of_night, n.arrears AS arrears_of_night
FROM state s FULL JOIN night n ON n.account_id = s.account_id AND n.as_of = s.as_of;
