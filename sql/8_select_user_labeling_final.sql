-- Shows the labelled users: label 0 spends least. The result changes as labels do.
-- Reads user_labeling_final.
SELECT * FROM user_labeling_final;
