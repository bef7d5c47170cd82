"""The models of `scratch` on torch.nn, and how far the two are apart."""
