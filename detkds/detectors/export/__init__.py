"""A trained student in other formats. Nothing here is needed to search or to train."""
