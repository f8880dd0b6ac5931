"""What mmdet imports and no detector uses is imported when it is used, and then is what it would have been."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from detkds.detectors.deferred import UNUSED, deferred


def run(code: str) -> str:
    """Run code in a fresh interpreter; returns what it printed."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_a_detector_is_imported_without_them_and_each_works_when_it_is_used() -> None:
    printed = run(
        f"""
        import sys
        import torch
        import detkds.detectors
        unused = {UNUSED!r}
        print([name for name in (*unused, "sympy") if name in sys.modules])

        from mmdet.datasets.transforms import generate_line
        assert "imgaug" not in sys.modules
        line = generate_line.LineString([(0, 0), (3, 4)])
        assert isinstance(line, generate_line.LineString) and not isinstance(3, generate_line.LineString)
        assert line.length == 5.0 and type(line).__module__ == "imgaug.augmentables.lines"
        assert generate_line.iaa.Fliplr(1.0).__class__.__module__ == "imgaug.augmenters.flip"

        assert abs(generate_line.InterpolatedUnivariateSpline([0, 1, 2, 3], [0, 1, 4, 9])(1.5) - 2.25) < 1e-9

        from mmdet.utils import mot_error_visualize
        import matplotlib.pyplot
        assert mot_error_visualize.plt.figure is matplotlib.pyplot.figure

        from mmengine.model.wrappers import MMFullyShardedDataParallel as wrapper
        from mmengine._strategy import FSDPStrategy as strategy
        class Own(wrapper): pass
        from torch.distributed.fsdp import FullyShardedDataParallel
        assert issubclass(Own, FullyShardedDataParallel) and torch.distributed.fsdp.FullyShardedDataParallel is FullyShardedDataParallel
        from mmengine.registry import STRATEGIES
        assert strategy.prepare is STRATEGIES.get("FSDPStrategy").prepare

        from mmengine.optim import ZeroRedundancyOptimizer
        class Sharded(ZeroRedundancyOptimizer): pass
        from torch.distributed.optim import ZeroRedundancyOptimizer as base
        assert issubclass(Sharded, base)
        print("all")
        """
    )
    assert printed.splitlines() == ["[]", "all"]


def test_a_module_that_needs_one_while_it_is_imported_gets_the_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavy_base.py").write_text("class Base:\n    size = 3\n\ndef double(x):\n    return 2 * x\n")
    (tmp_path / "heavy_user.py").write_text(
        "from heavy_base import Base, double\nimport heavy_base\nbefore = heavy_base\nclass Own(Base):\n    twice = double(Base.size)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("heavy_base", "heavy_user"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with deferred(["heavy_base"]):
        import heavy_user  # type: ignore[import-not-found]
    import heavy_base  # type: ignore[import-not-found]

    assert heavy_user.Own.twice == 6
    assert heavy_user.Own.__mro__[1] is heavy_base.Base
    assert heavy_user.before.Base is heavy_base.Base


def test_what_is_missing_is_an_import_error_when_it_is_used() -> None:
    with deferred(["no_such_package_of_anyone"]):
        import no_such_package_of_anyone  # type: ignore[import-not-found]
    with pytest.raises(ModuleNotFoundError, match="no_such_package_of_anyone"):
        no_such_package_of_anyone.anything()
