"""What topologies consist of."""
