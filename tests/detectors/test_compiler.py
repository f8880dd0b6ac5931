"""torch's compiler is imported when something is compiled, and then is what it would have been."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

STEPS = """
    import sys
    import torch
    import detkds.detectors
    from detkds.detectors.compiler import _Compiler

    def steps(kind):
        weight = torch.nn.Parameter(torch.ones(2))
        optimizer = kind([weight], lr=0.5)
        for _ in range(2):
            optimizer.zero_grad()
            weight.square().sum().backward()
            optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
        return weight

    # The gradient is 2w: 1 - 0.5 * 2 * 1 = 0, and stays there.
    assert steps(torch.optim.SGD).tolist() == [0.0, 0.0]
    assert not steps(torch.optim.AdamW).grad_fn
    assert isinstance(sys.modules["torch._dynamo"], _Compiler) and "sympy" not in sys.modules
"""


def run(*codes: str) -> None:
    """Run code in a fresh interpreter."""
    text = "\n".join(dedent(code) for code in codes)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_an_optimizer_steps_without_it_and_what_is_compiled_afterwards_is_compiled() -> None:
    run(
        STEPS,
        """
        hidden = torch.optim.Optimizer.zero_grad.__wrapped__
        graphs = []

        def backend(graph, inputs):
            graphs.append(graph)
            return graph.forward

        assert torch.compile(lambda x: x + 1, backend=backend)(torch.ones(2)).tolist() == [2.0, 2.0] and len(graphs) == 1
        assert sys.modules["torch._dynamo"] is torch._dynamo and "sympy" in sys.modules
        assert torch._dynamo.__file__.endswith("__init__.py")
        assert not hasattr(hidden, "__dynamo_disable"), "torch asks the compiler again"
        steps(torch.optim.SGD)
        assert getattr(hidden, "__dynamo_disable") is not hidden
        """,
    )


INSIDE = {
    "torch._dynamo.backends.registry": "assert 'inductor' in first.list_backends()",
    "torch._dynamo.config": "assert first.recompile_limit > 1",  # an object in a module's place, which lets nobody set its attributes
}


@pytest.mark.parametrize("name", INSIDE)
def test_a_module_inside_it_can_be_the_first_that_is_imported(name: str) -> None:
    run(
        STEPS,
        f"""
        import {name} as first
        import torch._dynamo.backends.registry

        assert first is sys.modules["{name}"] is {name} and first.__spec__.name == "{name}" and first.__spec__.origin
        assert torch._dynamo.backends is sys.modules["torch._dynamo.backends"] and torch._dynamo.backends.__spec__.origin
        assert not [finder for finder in sys.meta_path if type(finder).__module__ == "detkds.detectors.compiler"]
        {INSIDE[name]}
        """,
    )


def test_a_function_that_somebody_else_hides_is_hidden_by_the_real_one() -> None:
    run(
        STEPS,
        """
        import torch._dynamo
        @torch._dynamo.disable
        def three(): return 3
        assert three() == 3 and "sympy" in sys.modules
        assert getattr(three, "_torchdynamo_disable", False)
        """,
    )


def test_a_compiler_that_was_imported_before_stays() -> None:
    run(
        """
        import sys
        import torch._dynamo
        before = sys.modules["torch._dynamo"]
        import detkds.detectors
        assert sys.modules["torch._dynamo"] is before is torch._dynamo
        """
    )
