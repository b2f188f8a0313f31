-- The lowest ceiling on the yearly cost that is known for a book's loans of a day; without a row, none is. The ledger
-- holds penalty rate, late fee and new schedules to it; what it takes off a contract's schedule stays in removed_minor.
CREATE TABLE ceiling (
	book_id BIGINT NOT NULL,
	opened_on DATE NOT NULL,
	ppm BIGINT NOT NULL,
	PRIMARY KEY (book_id, opened_on),
	FOREIGN KEY(book_id) REFERENCES book (id)
);
-- Until the next night or import holds each book anew, the ceilings that the removed rates tell of.
INSERT INTO ceiling SELECT DISTINCT book_id, opened_on, penalty_rate_ppm - removed_penalty_ppm
FROM account WHERE removed_penalty_ppm > 0;
UPDATE book SET held_sha256 = NULL;
ALTER TABLE account DROP removed_penalty_ppm;
-- Where an account goes on says now how much of a late fee is still to come; without a row it is replayed.
DELETE FROM account_carried;
