"""One style of complaint for the whole package: the argument, what was expected, what came."""

import math
import numbers
import operator

import numpy as np
import torch

MOST_POINTS = 10**6  # of an even grid: fast_kde's fine cells then take half a gigabyte
LARGEST = 1e100  # in size: the squares and sums of numbers beyond it may not fit float64


def shown(value):
    """A value as one line that is not too long."""
    return " ".join(str(value).split())[:120]


def expect(condition, argument, expected, received):
    """Raise ValueError in one line unless the condition holds."""
    if not condition:
        raise ValueError(f"{argument}: expected {expected}, got {shown(received)}")


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
        raise TypeError(f"{argument}: expected {expected}, got {shown(repr(value))}") from None


def expect_number(value, argument, expected):
    """The value as a Python number, or TypeError where it is no real number (True is none).

    A number of numpy's compares in its own precision, in which LARGEST may be infinite and its inverse 0.
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{argument}: expected {expected}, got {shown(repr(value))}")
    return value.item() if isinstance(value, np.generic) else value


def expect_list(values, argument, expected):
    """What can be gone through, as a list of at least one."""
    try:
        values = list(values)
    except TypeError:
        raise TypeError(f"{argument}: expected {expected}, got {shown(repr(values))}") from None
    expect(values, argument, f"{expected}, at least one", "none")
    return values


def expect_points(n_grid):
    """The number of points of an even grid, from 2 to MOST_POINTS."""
    expected = f"a whole number of points from 2 to {MOST_POINTS}"
    n_grid = expect_whole(n_grid, "n_grid", expected)
    expect(2 <= n_grid <= MOST_POINTS, "n_grid", expected, n_grid)
    return n_grid


def expect_flag(value, argument):
    """Raise TypeError unless value is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{argument}: expected True or False, got {shown(repr(value))}")


def all_finite(values):
    """True where no entry of a tensor is NaN or infinite; in one pass over it, where isfinite takes several."""
    return values.numel() == 0 or all(end.isfinite() for end in values.aminmax())


def expect_finite(values, argument, allow_minus_infinity=False):
    """Raise ValueError naming the first entry that is NaN or infinite."""
    if all_finite(values):
        return
    allowed = values.isfinite() | values.isneginf() if allow_minus_infinity else values.isfinite()
    if not allowed.all():
        place = tuple((~allowed).nonzero()[0].tolist())
        raise ValueError(f"{argument}: expected finite numbers, got {values[place].item()} at index {place}")


def without_overflow(result, argument):
    """The result, or ValueError where finite numbers had a product or a sum too large for their kind."""
    expect(all_finite(result.detach()), argument, f"numbers whose products and sums fit {result.dtype}", "an overflow")
    return result


def finite_array(values, argument):
    """A tensor, an array or a list as numpy, or one line on what it holds that is no finite number."""
    array = real_array(values, argument)
    if array.size:
        finite_range(array, argument)
    return array


def real_array(values, argument):
    """A tensor, an array or a list of real numbers as numpy."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{argument}: expected rows of one length, got {shown(repr(values))}") from None
    except RuntimeError:  # torch's, of a list of such tensors
        expected = "one tensor, or a list of detached ones"
        raise ValueError(f"{argument}: expected {expected}, got {shown(repr(values))}") from None
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{argument}: expected real numbers, got {array.dtype}")
    return array


def finite_range(array, argument):
    """The least and the greatest of at least one number, or one line on one that is not finite."""
    low, high = float(array.min()), float(array.max())  # NaN where any entry is
    if not (math.isfinite(low) and math.isfinite(high)):
        place = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        remedy = " (take the causal entries only)" if array[place] == -math.inf else ""
        raise ValueError(f"{argument}: expected finite numbers{remedy}, got {array[place]} at index {place}")
    largest = max(-low, high)
    expect(largest <= LARGEST, argument, f"numbers up to {LARGEST:.0e} in size", f"{largest:.3g}")
    return low, high
