"""The load generator, and what its requests came to."""
