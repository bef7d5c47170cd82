"""What `python -m scratch` can be asked to do, one module for each command."""
