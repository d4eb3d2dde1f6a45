"""User-space instructions of the balancer, counted exactly: `benches/run instructions`."""
