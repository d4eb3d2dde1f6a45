"""What is shipped with the balancer, and the scripts that make, deploy and load it."""
