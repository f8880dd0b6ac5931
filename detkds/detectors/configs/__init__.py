"""Detector configs as data: by name, by file, adapted to a data set's classes."""
