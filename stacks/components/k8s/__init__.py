"""The parts of a deployment as objects of Kubernetes."""
