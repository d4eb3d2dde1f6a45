"""What containers are given, tried without a container: the profile, the mounted targets."""
