"""One style of complaint for the whole package: the argument, what was expected, what came."""

import operator

import torch


def expect(condition, argument, expected, received):
    """Raise ValueError in one line unless the condition holds."""
    if not condition:
        raise ValueError(f"{argument}: expected {expected}, got {received}")


def expect_float_tensor(value, argument, shape):
    """Raise TypeError unless value is a floating-point tensor; `shape` says in words which."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{argument}: expected a torch tensor {shape}, got {type(value).__name__}")
    if not value.is_floating_point():
        raise TypeError(f"{argument}: expected floating-point numbers {shape}, got {value.dtype}")


def expect_square(scores, argument="scores"):
    """Raise unless scores is a floating-point tensor (..., query, key) with as many queries as keys, at least 1."""
    expect_float_tensor(scores, argument, "(..., T, T)")
    shape = tuple(scores.shape)
    expect(len(shape) >= 2 and shape[-1] == shape[-2] >= 1, argument, "a square (..., T, T) with T >= 1", shape)


def expect_whole(value, argument, expected):
    """The value as an int, or TypeError where it is not a whole number (True and 3.0 are not)."""
    if isinstance(value, bool):
        raise TypeError(f"{argument}: expected {expected}, got {value}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{argument}: expected {expected}, got {value!r:.60}") from None


def expect_finite(values, argument, allow_minus_infinity=False):
    """Raise ValueError naming the first entry that is NaN or infinite."""
    allowed = values.isfinite() | values.isneginf() if allow_minus_infinity else values.isfinite()
    if not allowed.all():
        place = tuple((~allowed).nonzero()[0].tolist())
        raise ValueError(f"{argument}: expected finite numbers, got {values[place].item()} at index {place}")
