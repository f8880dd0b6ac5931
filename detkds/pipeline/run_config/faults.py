"""Every fault of a run.yaml, each with its place and in one line."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from detkds.pipeline.run_config.patterns import PATTERNS
from detkds.pipeline.run_config.run import RunConfig

WORDS = {
    "model_type": "must be a section with keys of its own, such as `key: value`",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "string_type": "must be text; write it in quotes",
}
"""What pydantic's types of faults ask, in the words of a person who writes YAML; its own text is good enough for the others."""


def validated(raw: Any, folder: Path | None = None) -> tuple[RunConfig | None, list[tuple[str, str]]]:
    """The content of a run.yaml as a run, or every fault of it: its place, such as `search.top_k`, and what is wrong there.

    Args:
        raw: the content.
        folder: what relative paths are relative to; None leaves them as they are.
    """
    try:
        return RunConfig.model_validate(raw, context=None if folder is None else {"folder": folder}), []
    except ValidationError as error:
        return None, [(place(fault["loc"]), message(fault)) for fault in error.errors()]


def place(location: tuple[int | str, ...]) -> str:
    """`search.top_k` for a fault's place; empty for the file as a whole."""
    return ".".join(map(str, location))


def message(fault: Any) -> str:
    """One line for one pydantic fault: the rule, the value and, for an unknown key, the nearest known one."""
    if fault["type"] == "extra_forbidden":
        return did_you_mean("key", str(fault["loc"][-1]), keys_beside(fault["loc"]))
    if fault["type"] == "string_pattern_mismatch":
        return f"must be {PATTERNS[fault['ctx']['pattern']]}, but got {fault['input']!r}"
    text = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] in ("missing", "value_error"):
        return "is required" if fault["type"] == "missing" else text
    if fault["input"] is None:
        return "has no value; give one, or leave the key out"
    return f"{WORDS.get(fault['type'], text.replace('Input should', 'must'))}, but got {fault['input']!r}"


def keys_beside(location: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys that are allowed where an unknown one was found."""
    model: type[BaseModel] = RunConfig
    for step in location[:-1]:
        annotation = model.model_fields[str(step)].annotation if str(step) in model.model_fields else None
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next((option for option in options if isinstance(option, type) and issubclass(option, BaseModel)), model)
    return tuple(model.model_fields)


def did_you_mean(what: str, word: str, words: tuple[str, ...]) -> str:
    """One line for an unknown word: the nearest known one, or all of them."""
    near = get_close_matches(word, words, n=1)
    return f"unknown {what} {word!r}: " + (f"did you mean {near[0]}?" if near else f"choose from {', '.join(words)}")
