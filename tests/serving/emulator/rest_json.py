"""TF Serving's JSON: rows or columns in, the same out, with its own exceptions."""

import json

import numpy as np

from tests.serving.emulator.model import Refused
from tfp_flows.serving import c_api


def read(body, definition):
    """Returns the inputs of a request, and whether it came in rows."""
    try:
        request = json.loads(body)
    except ValueError as error:
        raise Refused("INVALID_ARGUMENT", f"JSON Parse error: {error}") from error
    if not isinstance(request, dict) or ("instances" in request) == (
        "inputs" in request
    ):
        raise Refused("INVALID_ARGUMENT", "wanted is one of 'instances' and 'inputs'")
    is_rows = "instances" in request
    columns = _from_rows(request["instances"], definition) if is_rows else None
    if columns is None:
        columns = _from_columns(request["inputs"], definition)
    arrays = {
        name: _to_array(name, columns[name], c_api.dtype_of(info))
        for name, info in definition.inputs.items()
    }
    return arrays, is_rows


def write(outputs, is_rows):
    """Returns the answer; NaN and Infinity are written as such, which no JSON knows."""
    lists = {name: value.tolist() for name, value in outputs.items()}
    if not is_rows:
        (value,) = lists.values() if len(lists) == 1 else (lists,)
        return json.dumps({"outputs": value})
    count = len(next(iter(lists.values())))
    rows = [{name: value[i] for name, value in lists.items()} for i in range(count)]
    if len(lists) == 1:
        rows = [next(iter(row.values())) for row in rows]
    return json.dumps({"predictions": rows})


def signature_of(body):
    try:
        return json.loads(body).get("signature_name", "")
    except (ValueError, AttributeError):
        return ""


def _from_rows(instances, definition):
    names = set(definition.inputs)
    if not isinstance(instances, list) or not instances:
        raise Refused("INVALID_ARGUMENT", "instances is empty or no list")
    if all(isinstance(row, dict) for row in instances):
        if any(set(row) != names for row in instances):
            raise Refused("INVALID_ARGUMENT", "Failed to process element: other keys")
        return {name: [row[name] for row in instances] for name in names}
    if len(names) > 1:
        raise Refused("INVALID_ARGUMENT", "instances must be objects for many inputs")
    return {next(iter(names)): instances}


def _from_columns(inputs, definition):
    names = set(definition.inputs)
    if isinstance(inputs, dict):
        if names - set(inputs):
            raise Refused("INVALID_ARGUMENT", "Missing named input")
        columns = {name: inputs[name] for name in names}  # others are ignored
    elif len(names) > 1:
        raise Refused("INVALID_ARGUMENT", "inputs is a plain value for many inputs")
    else:
        columns = {next(iter(names)): inputs}
    if any(value == [] for value in columns.values()):
        raise Refused("INVALID_ARGUMENT", "an input has no rows")
    return columns


def _to_array(name, value, dtype):
    for number in _numbers(value):
        is_integer = isinstance(number, int) and not isinstance(number, bool)
        if not is_integer and not (dtype.kind == "f" and isinstance(number, float)):
            raise Refused("INVALID_ARGUMENT", f"{name}: {number!r} is no {dtype}")
    try:
        array = np.array(value)
        if dtype.kind == "f":
            with np.errstate(over="ignore"):
                return array.astype(dtype)  # too large is Infinity
        info = np.iinfo(dtype)
        if array.size and not info.min <= array.min() <= array.max() <= info.max:
            raise ValueError("out of range")
        return array.astype(dtype)
    except (ValueError, OverflowError) as error:
        raise Refused("INVALID_ARGUMENT", f"{name}: {error}") from error


def _numbers(value):
    if isinstance(value, list):
        for part in value:
            yield from _numbers(part)
    else:
        yield value
