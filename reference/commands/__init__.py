"""What `python -m reference` can be asked to do, one module for each command."""
