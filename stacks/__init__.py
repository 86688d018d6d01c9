"""What VeloZ looks like when it is deployed."""
