"""What is known to go wrong with a compiled pipeline on a cluster, found before it is submitted. Imports neither kfp nor torch."""

from detkds.lint.package import Finding, Package, Task
from detkds.lint.rules import ImagePolicy, examine

__all__ = ["Finding", "ImagePolicy", "Package", "Task", "examine"]
