"""What the run loop needs of users and of cells alike, and when a step is due."""
