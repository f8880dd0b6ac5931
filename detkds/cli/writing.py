"""Files that a command writes for a person, who may have written to them since."""

from __future__ import annotations

from pathlib import Path

from detkds.errors import ConfigError


def write_new(path: Path, text: str) -> None:
    """Write a file that does not exist yet.

    Raises:
        ConfigError: it exists, or cannot be written.
    """
    try:
        with path.open("x") as stream:
            stream.write(text)
    except FileExistsError:
        raise ConfigError(f"{path} exists and is not overwritten; name another file with --out, or remove it.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}); name a file in a folder that exists with --out.") from None
