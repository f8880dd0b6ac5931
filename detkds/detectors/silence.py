"""Import of OpenMMLab's packages without what they print about themselves."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Nothing that is printed, warned or logged below CRITICAL inside gets out.

    mmdet's import says twice that an optional package is missing and uses deprecated names of torch; building a detector logs one
    paragraph a parameter. None of it is for the user.
    """
    previous = logging.root.manager.disable
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(previous)
