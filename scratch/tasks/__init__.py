"""What is learned, from what: the four systems and their data."""
