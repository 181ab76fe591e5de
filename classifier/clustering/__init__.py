"""K-means on points and weights, the scale on which distances are measured, and the number of clusters."""
