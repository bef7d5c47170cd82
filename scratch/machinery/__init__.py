"""What the lesson stands on and need not show."""
