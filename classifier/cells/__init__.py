"""--cells: the number of users in each cell, as Flink counts them, and the labels of cells."""
