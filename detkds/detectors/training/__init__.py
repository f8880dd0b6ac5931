"""Training of a detector: batches, schedule, loop with exact resume, several processes."""
