"""The balancer under load: one that is started here, or one that is deployed."""
