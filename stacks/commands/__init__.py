"""What `python -m stacks` does: init, preview, up, rollback, destroy, render."""
