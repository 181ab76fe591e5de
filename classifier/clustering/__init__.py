"""K-means on points and weights, where distances are measured, and the number of clusters."""
