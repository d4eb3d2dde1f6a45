"""What build_push.sh builds, refuses and uploads."""
