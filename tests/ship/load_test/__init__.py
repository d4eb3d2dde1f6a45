"""scripts/load-test: its figures, what it refuses, and real runs."""
