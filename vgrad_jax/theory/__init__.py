"""What a measurement should have been: mean-field theory, exact finite-width laws, spectra, predictions."""
