"""Running machines, judging them, and scoring."""
