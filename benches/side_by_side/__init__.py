"""Measures this balancer beside HAProxy and nginx on one machine, over loopback."""
