"""Say whether an image holds what its stages import, and nothing that it should not. The build of the image stops where it does not.

usage: python check.py cuda|cpu|light
"""

import importlib
import importlib.util
import sys

STAGES = ("subset", "evolve", "weights", "train", "evaluate", "report")
LIGHT_STAGES = ("subset", "report", "kubeflow.plans")
HEAVY = ("torch", "mmdet", "mmcv", "mmengine")


def faults(kind):
    """What is wrong with the environment of this interpreter, as one line each.

    Args:
        kind: "cuda", "cpu" or "light".
    """
    light = kind == "light"
    found = [fault for stage in (LIGHT_STAGES if light else STAGES) if (fault := import_fault(f"detkds.pipeline.{stage}"))]
    found += [fault for name in ("kfp.dsl.executor_main",) if (fault := import_fault(name))]
    if importlib.util.find_spec("pip"):
        found.append("pip is installed: nothing may be installed at run time")
    if light:
        found += [f"{name} is imported by a light stage" for name in HEAVY if name in sys.modules]
    elif not found:
        found += operator_faults(kind)
    return found


def import_fault(module):
    """None where a module can be imported, else the reason."""
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever a broken library raises while it is imported is the answer
        return f"{module} cannot be imported: {type(error).__name__}: {error}"
    return None


def operator_faults(kind):
    """What is wrong with torch and mmcv's operators for this kind of image."""
    import torch
    from mmcv.ops import get_compiling_cuda_version, nms

    boxes, scores = torch.tensor([[0.0, 0.0, 9.0, 9.0], [1.0, 0.0, 9.0, 9.0]]), torch.tensor([0.9, 0.8])
    kept = nms(boxes, scores, 0.5)[1].tolist()  # the intersection over union is 72/81 = 0.89: the second goes
    found = [] if kept == [0] else [f"mmcv's nms keeps {kept} instead of [0]"]
    compiled = get_compiling_cuda_version()
    if kind == "cuda" and (torch.version.cuda is None or compiled == "not available"):
        found.append(f"a CUDA image needs CUDA, but torch has {torch.version.cuda} and mmcv's operators {compiled}")
    return found


def main():
    """Exit with 1 and one line per fault on standard error."""
    (kind,) = sys.argv[1:] or [""]
    if kind not in ("cuda", "cpu", "light"):
        sys.exit("usage: python check.py cuda|cpu|light")
    found = faults(kind)
    if found:
        sys.exit("\n".join(found))
    print(f"{kind}: every stage can be imported")


if __name__ == "__main__":
    main()
