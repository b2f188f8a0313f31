-- Hexadecimal digits mean the same in either case, letters of base64 do not: a key that is all hex is kept in lower case,
-- and the borrowers that are thereby found to be one person are joined, as intake joins them.
UPDATE borrower SET person_key = lower(person_key) WHERE person_key ~ '^[0-9A-Fa-f]+$' AND person_key ~ '[A-F]';

UPDATE borrower b SET same_as = nullif(led.first, b.id)
FROM (SELECT id, min(id) OVER (PARTITION BY person_key) AS first FROM borrower WHERE person_key IS NOT NULL) led
WHERE led.id = b.id AND b.same_as IS DISTINCT FROM nullif(led.first, b.id);
