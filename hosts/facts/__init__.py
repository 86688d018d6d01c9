"""What a host is like, read in few round trips: pyinfra facts, and pure functions that understand what they say."""
