"""Measures how long new clients wait for their first byte when targets are a round trip away."""
