-- `later` holds [[day, ppm], ...]: the ceilings that take the place of `ppm` for what accrues from each day on. Where
-- there are any, ppm may be NULL: none is known for the days before.
ALTER TABLE ceiling ADD COLUMN product TEXT NOT NULL DEFAULT 'instalment';
ALTER TABLE ceiling ADD COLUMN later JSONB NOT NULL DEFAULT '[]';
ALTER TABLE ceiling ALTER COLUMN ppm DROP NOT NULL;
ALTER TABLE ceiling DROP CONSTRAINT ceiling_pkey;
ALTER TABLE ceiling ADD PRIMARY KEY (book_id, opened_on, product);
INSERT INTO ceiling (book_id, opened_on, ppm, product)
SELECT DISTINCT book_id, opened_on, c.ppm, 'card' FROM ceiling c JOIN account a USING (book_id, opened_on)
WHERE a.product = 'card';
-- Where no rule covers a lender's type on a day, it is not known whether a ceiling binds.
ALTER TABLE decision ALTER COLUMN cap_exists DROP NOT NULL;
-- Where an account goes on tells now since when the interest runs that comes with an instalment; without a row it is
-- replayed.
DELETE FROM account_carried;
UPDATE book SET held_sha256 = NULL;
