-- Shows the labelled users; label 0 spends least. The result changes when labels change.
-- Reads user_rfm_labeling_final.
SELECT * FROM user_rfm_labeling_final;
