"""The load test: what a balancer carries, by CORES, and a report of it."""
