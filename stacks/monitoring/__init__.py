"""What Prometheus and Grafana are told, generated from the description."""
