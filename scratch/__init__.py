"""An RNN and an LSTM in NumPy, with every backward pass written by hand."""
