-- Shows the labelled accounts; label 0 has the fewest failed logins. The result changes when labels change.
-- Reads account_labeling_final.
SELECT * FROM account_labeling_final;
