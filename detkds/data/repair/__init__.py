"""A repaired copy of a faulty annotation file: what is kept, clipped or dropped."""
