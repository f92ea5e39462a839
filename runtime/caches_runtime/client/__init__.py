"""What applications reach a cache with: from the `connection` that its component exports."""
