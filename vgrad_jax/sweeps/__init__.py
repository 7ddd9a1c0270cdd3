"""Many seeds of many arms, in chunks, into labelled results."""
