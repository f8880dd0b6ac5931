"""The rules of a COCO data set: what is read, within which limits, and every fault by file, id and rule."""
