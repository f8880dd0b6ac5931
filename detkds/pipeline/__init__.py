"""The six stages, one per file. Each takes paths and plain values, calls the library and publishes its artifact.

The same functions serve the pods of the cluster, kfp.local, the command line and the tests.
"""
