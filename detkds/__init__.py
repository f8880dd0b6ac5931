"""DetKDS: knowledge distillation search for object detectors, as a Kubeflow pipeline."""

__version__ = "0.1.0"
