"""From the JSON of cdk.json and the text of `-c` to the typed values of dataclasses (standard library only)."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeGuard, get_type_hints

from stacks.config.errors import ConfigError


def read(block: type, context: Mapping[str, Any]) -> Any:
    """Build the dataclass `block` from the context's "dp" and its flat keys "dp.…", which come as text.

    Raises ConfigError for an unknown key or a value of another type.
    """
    given = context.get("dp", {})
    if not isinstance(given, Mapping):
        raise ConfigError("", "not a block of keys", given, "an object in cdk.json")
    values = _read_block(block, given, "")
    for name, text in context.items():
        if name.startswith("dp."):
            _set(block, values, name.removeprefix("dp."), text)
        elif name.split(".")[0] in _keys(block):  # `-c network=isolated` would otherwise be ignored in silence
            raise ConfigError(name, "a key without its dp.", name, "the same with dp. before it")
    return _build(block, values)


def _is_block(type_: Any) -> TypeGuard[type]:
    return is_dataclass(type_)


@cache
def _keys(block: type) -> dict[str, Any]:
    hints = get_type_hints(block)
    return {f.name: hints[f.name] for f in fields(block)}


def _check_key(block: type, name: str, path: str) -> Any:
    keys = _keys(block)
    if name not in keys:
        near = difflib.get_close_matches(name, keys, n=1)
        allowed = f"{', '.join(keys)}" + (f"; did you mean {near[0]!r}?" if near else "")
        raise ConfigError(path, "unknown key", name, allowed)
    return keys[name]


def _read_block(block: type, given: Mapping[str, Any], at: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in given.items():
        type_ = _check_key(block, name, at + name)
        if _is_block(type_):
            if not isinstance(value, Mapping):
                raise ConfigError(at + name, "not a block of keys", value, ", ".join(_keys(type_)))
            values[name] = _read_block(type_, value, f"{at}{name}.")
        else:
            values[name] = _typed(type_, value, at + name)
    return values


def _set(block: type, values: dict[str, Any], path: str, text: object) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        type_ = _check_key(block, parent, path)
        if not _is_block(type_):
            raise ConfigError(path, "unknown key", path, f"dp.{parent} has no keys of its own")
        block, values = type_, values.setdefault(parent, {})
    type_ = _check_key(block, name, path)
    if _is_block(type_):
        raise ConfigError(path, "a block, not a value", text, ", ".join(f"dp.{path}.{k}" for k in _keys(type_)))
    values[name] = _typed(type_, _parsed(type_, text), path)


def _parsed(type_: Any, text: object) -> object:
    """What a value of `-c` means for a key of this type; what does not parse stays text, and is refused as such."""
    if not isinstance(text, str):
        return text
    if text == "null" and _optional(type_):
        return None
    kind = _kind(type_)
    if kind is bool:
        return {"true": True, "false": False}.get(text, text)
    if kind is int and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    if kind is float and re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,9})?", text):
        return float(text)
    if kind is tuple:
        return [part for part in text.split(",") if part]
    return text


def _typed(type_: Any, value: object, key: str) -> object:
    if value is None and _optional(type_):
        return None
    kind = _kind(type_)
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", tuple: "a list of texts"}
    allowed = names[kind] + (", or null" if _optional(type_) else "")
    if kind is tuple and isinstance(value, list) and all(isinstance(part, str) for part in value):
        return tuple(value)
    if kind is float and type(value) in (int, float):
        return value
    if type(value) is kind:
        return value
    raise ConfigError(key, "wrong type", value, allowed)


def _optional(type_: Any) -> bool:
    return type(None) in getattr(type_, "__args__", ())


def _kind(type_: Any) -> type:
    if getattr(type_, "__origin__", None) is tuple:
        return tuple
    kinds = [kind for kind in getattr(type_, "__args__", (type_,)) if kind is not type(None)]
    kind: type = kinds[0]
    return kind


def _build(block: type, values: Mapping[str, Any]) -> Any:
    types = _keys(block)
    return block(**{k: _build(types[k], v) if _is_block(types[k]) else v for k, v in values.items()})
