"""What refreshes of many targets cost the clients: `benches/run discovery-latency`."""
