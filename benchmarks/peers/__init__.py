"""Models of others, or written as others would, to measure beside."""
