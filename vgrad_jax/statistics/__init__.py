"""What the seeds say, with intervals."""
