"""One style of complaint for the whole package: the argument, what was expected and what to do, what came.

Here, too, is the one rule for what a user may bring as numbers. Functions that calculate with torch take plain tensors
(`expect_tensor`); functions that count, resample and plot take what numpy can read (`real_array`). A container that
holds more than plain numbers, such as a mask, a missing value or a sparse layout, is refused with what to do instead.
"""

import math
import numbers
import operator
from collections.abc import Iterable, Mapping, Set

import numpy as np
import torch

MOST_POINTS = 10**6  # of an even grid: fast_kde's fine cells then take two gigabytes
LARGEST = 1e100  # in size: the squares and sums of numbers beyond it may not fit float64
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # those that torch calculates with
WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
AUTOCAST = ("cpu", "cuda", "mps", "xpu")  # kinds of devices on which torch may round by itself
AS_FLOAT = "np.asarray(x, float) makes them so"


def shown(value):
    """A value as one line that is not too long."""
    return " ".join(str(value).split())[:120]


def expect(condition, argument, expected, received):
    """Raise ValueError in one line unless the condition holds."""
    if not condition:
        raise ValueError(f"{argument}: expected {expected}, got {shown(received)}")


def expect_tensor(value, argument, expected):
    """Raise TypeError, saying what to do, unless value is a tensor with all its numbers one by one in memory."""
    if not isinstance(value, torch.Tensor):
        remedy = _bracket(f"torch.as_tensor({_as_array(value)}) makes one" if _as_array(value) else "")
        raise TypeError(f"{argument}: expected a torch tensor {expected}{remedy}, got {_kind(value)}")
    remedy = _as_plain(value)
    if remedy:
        received = f"{type(value).__name__} of layout {value.layout} on {value.device.type}"
        raise TypeError(f"{argument}: expected a plain tensor ({remedy}), got {received}")


def expect_float_tensor(value, argument, shape):
    """Raise TypeError unless value is a floating-point tensor; `shape` says in words which."""
    expect_tensor(value, argument, shape)
    if value.dtype not in FLOATS:
        remedy = "take x.real, x.imag or abs(x)" if value.is_complex() else "x.float() makes them so"
        raise TypeError(f"{argument}: expected floating-point numbers {shape} ({remedy}), got {value.dtype}")
    expect_full_precision(value.device.type)


def expect_full_precision(device):
    """Raise ValueError where a setting of torch's would round products on this kind of device to fewer digits."""
    on = device in AUTOCAST and torch.is_autocast_enabled(device)
    expect(not on, "torch.autocast", f"off for {device}, since it rounds scores to 3 digits", "on")
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError:  # torch 2.9 and later can be told for each kind of device, and has no one answer then
        kind = "cuda" if device == "cuda" else "mkldnn"
        setting = f"torch.backends.{kind}.matmul.fp32_precision"
        precision = getattr(torch.backends, kind).matmul.fp32_precision
        expect(precision in ("ieee", "none"), setting, "'ieee', since others round scores (set it so)", repr(precision))
        return
    whole = precision == "highest" or (precision == "high" and device == "cpu")  # there, "high" changes nothing
    remedy = "call torch.set_float32_matmul_precision('highest')"
    expect(whole, "torch.get_float32_matmul_precision()", f"'highest', since others round scores ({remedy})", precision)


def _as_plain(tensor):
    """What makes a plain tensor of this one; empty where it is one."""
    if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin):
        return "run the model once, so that it gets its numbers"
    if tensor.is_nested:
        return "take those in x.unbind(), one at a time"
    if type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:  # it does its own arithmetic
        masked = isinstance(tensor, torch.masked.MaskedTensor)
        return "x.get_data()[x.get_mask()] leaves the masked out" if masked else "take the tensor of numbers in it"
    if tensor.is_meta:
        return "make or load it on the CPU: on the device meta a tensor has a shape and no numbers"
    if tensor.is_quantized:
        return "x.dequantize() makes one"
    return "" if tensor.layout is torch.strided else "x.to_dense() makes one"


def _as_array(value):
    """How a container that is no tensor becomes an array for torch; empty for what is no container of numbers."""
    if np.ma.isMaskedArray(value):  # torch.as_tensor would forget the mask
        return "x.filled(0.0)"
    for method in ("toarray", "todense", "to_numpy"):
        if callable(getattr(value, method, None)):
            return f"x.{method}()"
    if callable(getattr(value, "collect", None)):  # a query of Polars' that nobody has asked for yet
        return "x.collect().to_numpy()"
    if isinstance(value, np.ndarray | list | tuple | range) or hasattr(value, "__array__"):
        return "x"
    return _as_list(value)


def _as_list(value):
    """How a container without an order or a length becomes a list; empty where it is none."""
    if isinstance(value, Mapping):  # what a tokenizer gives is one
        return "x['input_ids']" if "input_ids" in value else "list(x.values())"
    return "list(x)" if isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray) else ""


def _bracket(remedy):
    return f" ({remedy})" if remedy else ""


def _kind(value):
    """A scalar as it is, of a container its type's name."""
    return shown(repr(value)) if value is None or isinstance(value, str | numbers.Number) else type(value).__name__


def expect_square(scores, argument="scores"):
    """Raise unless scores is a floating-point tensor (..., query, key) with as many queries as keys, at least 1."""
    expect_float_tensor(scores, argument, "(..., T, T)")
    shape = tuple(scores.shape)
    expect(len(shape) >= 2 and shape[-1] == shape[-2] >= 1, argument, "a square (..., T, T) with T >= 1", shape)


def expect_whole(value, argument, expected):
    """The value as an int, or TypeError where it is not a whole number (True and 3.0 are not)."""
    number = _scalar(value)
    try:
        if isinstance(number, bool | np.ndarray | torch.Tensor):
            raise TypeError
        return operator.index(number)
    except TypeError:
        raise TypeError(f"{argument}: expected {expected}, got {shown(repr(value))}") from None


def expect_number(value, argument, expected):
    """The value as a Python number, or TypeError where it is no real number (True is none).

    A number of numpy's compares in its own precision, in which LARGEST may be infinite and its inverse 0.
    """
    number = _scalar(value)
    if not isinstance(number, numbers.Real) or isinstance(number, bool):
        raise TypeError(f"{argument}: expected {expected}, got {shown(repr(value))}")
    return number


def _scalar(value):
    """The one number in an array or a tensor without axes, such as a mean; anything else as it is."""
    if isinstance(value, torch.Tensor):
        return value.item() if value.ndim == 0 and not _as_plain(value) else value
    single = isinstance(value, np.generic | np.ndarray) and value.ndim == 0 and not np.ma.isMaskedArray(value)
    return value.item() if single else value


def expect_list(values, argument, expected):
    """What can be gone through in its own order, as a list of at least one."""
    # A set has no order, and what a dictionary or a table gives are its names.
    if isinstance(values, Set | Mapping) or hasattr(values, "columns"):
        raise TypeError(f"{argument}: expected {expected} in a list, one after the other, got {_kind(values)}")
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
    """What a user brings as numbers as a numpy array of float64, or one line on what in it is no finite number."""
    array = real_array(values, argument)
    if array.size:
        finite_range(array, argument, values)
    return array.astype(np.float64, copy=False)


def real_array(values, argument):
    """What a user brings as numbers as a numpy array of their own kind, or one line on what else is in it."""
    if isinstance(values, torch.Tensor):
        array = _array_of_tensor(values, argument)
    elif isinstance(values, list | tuple) and not all(map(_is_single, {*map(type, values)})):
        _expect_no_fields(values, argument)
        array = _as_numpy([real_array(value, argument) for value in values], argument)
    else:
        array = _as_numpy(values, argument)
    if array.dtype.kind not in "fiu":
        raise TypeError(_not_real(array, values, argument))
    return array


def _is_single(kind):
    """True of the types of numbers that numpy reads from a list without a loss; of True it would make 1."""
    return issubclass(kind, int | float | np.integer | np.floating) and kind is not bool


def _array_of_tensor(tensor, argument):
    expect_tensor(tensor, argument, "of real numbers")
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    known_to_numpy = not tensor.is_floating_point() or tensor.dtype in FLOATS and tensor.dtype != torch.bfloat16
    try:
        return (tensor if known_to_numpy else tensor.float()).numpy()
    except (TypeError, RuntimeError):  # packed kinds, several numbers to a byte
        expected = "a kind of number that numpy knows too (x.float() may make it so)"
        raise TypeError(f"{argument}: expected {expected}, got {tensor.dtype}") from None


def _as_numpy(values, argument):
    """Any container as a plain numpy array of any kind; what numpy would leave out unseen is refused."""
    if isinstance(values, bytes | bytearray):
        raise TypeError(f"{argument}: expected real numbers (list(x)), got {type(values).__name__}")
    try:
        array = np.asanyarray(values)
    except ValueError:
        raise ValueError(f"{argument}: expected rows of one length, got {shown(repr(values))}") from None
    except Exception as error:  # a container's own, such as cupy's or xarray's
        expected = "numbers that numpy can read"
        raise TypeError(f"{argument}: expected {expected}, got {_kind(values)}: {shown(error)}") from None
    masked = np.count_nonzero(getattr(array, "mask", False))
    if masked:
        expected = "numbers without a mask (x.compressed() leaves the masked out, x.filled(0.0) gives them a value)"
        raise TypeError(f"{argument}: expected {expected}, got {masked} masked of {array.size}")
    return np.asarray(array)


def _expect_no_fields(values, argument):
    """A named tuple's fields are different things, not numbers of a kind."""
    names = getattr(values, "_fields", None)
    if names:
        raise TypeError(f"{argument}: expected one field of it, such as .{names[0]}, got {type(values).__name__}")


def _not_real(array, values, argument):
    """The line on an array that holds something else than real numbers."""
    if array.dtype.kind != "O":
        remedy = "take x.real, x.imag or abs(x)" if array.dtype.kind == "c" else AS_FLOAT
        if array.dtype.names:
            remedy = f"take one field of x, such as x[{array.dtype.names[0]!r}]"
        return f"{argument}: expected real numbers ({remedy}), got {array.dtype}"
    place = next((p for p, item in np.ndenumerate(array) if not isinstance(item, numbers.Number)), None)
    if place is None:  # Decimal, Fraction, whole numbers beyond 64 bits
        return f"{argument}: expected real numbers ({AS_FLOAT}), got Python's own {type(array.flat[0]).__name__}"
    if array.ndim == 0:
        return f"{argument}: expected real numbers{_bracket(_as_array(values))}, got {_kind(values)}"
    received = f"{shown(repr(array[place]))} at index {place}"
    return f"{argument}: expected real numbers (leave out the others), got {received}"


def finite_range(array, argument, source=None):
    """The least and the greatest of at least one number, or one line on one that is not finite.

    source: what the array was made of, where that may know a missing number by another name.
    """
    low, high = array.min(), array.max()  # NaN where any entry is
    if not (np.isfinite(low) and np.isfinite(high)):
        place = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        remedy = _bracket(_without_missing(source, array[place]))
        raise ValueError(f"{argument}: expected finite numbers{remedy}, got {array[place]} at index {place}")
    low, high = float(low), float(high)  # of longdouble, perhaps infinite only now
    largest = max(-low, high)
    expect(largest <= LARGEST, argument, f"numbers up to {LARGEST:.0e} in size", f"{largest:.3g}")
    return low, high


def _without_missing(source, number):
    """What leaves out a number that is not finite."""
    if number == -math.inf:
        return "take the causal entries only"
    methods = ("dropna", "drop_nulls", "drop_null")  # of pandas and xarray, of polars, of pyarrow
    return next((f"x.{name}() leaves missing ones out" for name in methods if hasattr(source, name)), "")
