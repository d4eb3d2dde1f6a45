"""What decides whether a release works as users meet it: the AWS day of `scripts/prove-aws`."""
