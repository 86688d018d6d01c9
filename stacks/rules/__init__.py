"""What the rules of a deployment look at, and each rule."""
