"""What the verbs of the command line do, one file a verb; the words and options they take are in `detkds.cli`."""
