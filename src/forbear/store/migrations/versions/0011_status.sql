-- A debt that is sold or written off in the journal is not open: from here on the posting says so itself.
UPDATE account a SET status = j.status
FROM (
	SELECT e.account_id, CASE WHEN bool_or(e.kind = 'sold') THEN 'sold' ELSE 'charged_off' END AS status
	FROM account_event e
	WHERE e.kind IN ('sold', 'written_off') AND NOT EXISTS (
		SELECT FROM account_event r WHERE r.account_id = e.account_id AND r.kind = 'reversed'
		AND r.detail ->> 'of' = 'event:' || e.key)
	GROUP BY e.account_id) j
WHERE a.id = j.account_id AND a.status <> j.status AND (j.status = 'sold' OR a.status = 'open');
