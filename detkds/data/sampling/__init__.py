"""Subsets in the proportions of class and size of the whole: counting, drawing, and how close it came."""
