"""Results of a sweep: their schema, where they are held, what describes them, and how they are read."""
