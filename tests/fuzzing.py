"""What the fuzz suite is made of: arguments that are right or wrong in one or two ways, and what may come of them."""

import inspect
import re

import numpy as np
import torch
from hypothesis import strategies as st

REFUSED = object()  # what `outcome` gives where a call ended in a proper complaint
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
OTHERS = (torch.bool, torch.uint8, torch.int64, torch.complex64)
SPECIAL = (0.0, -0.0, 1.0, -1.0, 1e-45, 5e-324, 1e4, 7e4, 3e38, -3e38, 1e300, np.inf, -np.inf, np.nan)
ODD_TEXTS = [
    "",
    " ",
    "\n\t\r\v\f",
    "\x00",
    "\x07\x1b[31m\x7f\x85",
    "🙂👩‍👩‍👧‍👦🇻🇳",
    "Tiếng Việt: nghiêng đầu nhìn ngôi nhà nhỏ",
    "Tie\u0302\u0301ng Vie\u0323\u0302t",
    "שלום עולם",
    "مرحبا \u202eبالعالم\u202c",
    "日本語の文章",
    "\ufeff\u200b\u200f\ufffd\uffff",
    "\ud800",
    "$x_1^2$ \\frac{",
    "<b>&amp;</b>",
]
TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(ODD_TEXTS),
    st.sampled_from("eé🙂 ").map(lambda character: (character + "x ") * 20_000),
)
SIZES = st.integers(1, 5)


def tensors(*shape, dtypes=FLOATS[2:], scales=(1.0, 1.0, 30.0, 0.0)):
    """Tensors of one shape: normal numbers times one of the scales."""
    seeds = st.integers(0, 2**16)
    return st.builds(
        lambda seed, dtype, scale: (
            scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        ).to(dtype),
        seeds,
        st.sampled_from(dtypes),
        st.sampled_from(scales),
    )


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 6),
    st.sampled_from([10**9, -(10**9), 2**31, 2**63, -(2**63), 10**30, 1.5, 1e300, np.nan, np.inf, 1 + 2j]),
    st.builds(lambda x: [torch.tensor(x, requires_grad=True)], st.floats(-3, 3)),
    st.sampled_from([np.int64(2), np.float32(2.0), object, {}, [], (), [None], ["a"], [[1.0], [2.0, 3.0]], b"bytes"]),
    TEXTS,
    st.lists(st.integers(0, 3), max_size=3).flatmap(lambda shape: tensors(*shape, dtypes=FLOATS + OTHERS[1:3])),
    st.lists(st.integers(0, 3), max_size=3).flatmap(lambda shape: tensors(*shape)).map(lambda x: x.numpy()),
)


def like(value):
    """Wrong in one way, where the value is an array or a tensor, or something else altogether."""
    if not isinstance(value, torch.Tensor | np.ndarray):
        return JUNK
    as_array = isinstance(value, np.ndarray)
    tensor = torch.from_numpy(value) if as_array else value
    changed = st.one_of(
        st.sampled_from(FLOATS + OTHERS).map(lambda dtype: (tensor.real if tensor.is_complex() else tensor).to(dtype)),
        st.builds(lambda x, place: _with(tensor, x, place), st.sampled_from(SPECIAL), st.integers(0, 2**16)),
        st.sampled_from([1e-42, 1e4, 1e18, -1e38, 1e150]).map(lambda scale: (_widest(tensor) * scale).to(tensor.dtype)),
        st.just(tensor.mT if tensor.ndim > 1 else tensor[None]),
        st.just(tensor[..., None]),
        st.just(tensor[None].expand(2, *tensor.shape)),
        st.just(tensor[..., :0] if tensor.ndim else tensor),
        st.just(tensor[:0] if tensor.ndim else tensor),
        st.just(tensor[..., :1] if tensor.ndim else tensor),
        st.just(tensor.flatten()),
        st.just(tensor.clone().requires_grad_() if tensor.is_floating_point() and not as_array else tensor),
    )
    if as_array:
        changed = changed.map(lambda x: x.numpy() if x.dtype != torch.bfloat16 else x.double().numpy())
    return st.one_of(changed, changed, JUNK)


def _widest(tensor):
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)


def _with(tensor, number, place):
    """The same with another number at one place."""
    if not tensor.numel() or not tensor.is_floating_point():
        return tensor
    tensor = tensor.clone().contiguous()
    tensor.view(-1)[place % tensor.numel()] = torch.tensor(number, dtype=torch.float64).to(tensor.dtype)
    return tensor


@st.composite
def arguments(draw, right):
    """A dictionary of arguments from the strategy `right`, mostly with one or two of them spoiled."""
    values = dict(draw(right))
    for _ in range(draw(st.sampled_from([0, 1, 1, 2]))):
        name = draw(st.sampled_from(sorted(values)))
        values[name] = draw(like(values[name]))
    return values


def outcome(function, values, also=()):
    """The call's result, or REFUSED where it raised one line that names an argument, what it expects and what came.

    also: other names that the line may begin with. Whatever else is raised, warnings among it, goes on.
    """
    before = {name: _copy(value) for name, value in values.items()}
    try:
        result = function(**values)
    except (ValueError, TypeError) as error:
        names = "|".join(map(re.escape, [*inspect.signature(function).parameters, *also]))
        line = str(error)
        # splitlines knows every character that ends a line.
        assert re.match(rf"({names}): expected .+, got .", line) and len(line.splitlines()) == 1, repr(error)
        assert len(line) < 400
        result = REFUSED
    assert same(values, before), "the input was changed"
    return result


def _copy(value):
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    return value.copy() if isinstance(value, np.ndarray) else value


def same(a, b):
    """True where nothing differs; NaN equals NaN."""
    if isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in b)
    if isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(b, torch.Tensor):
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        return torch.equal(torch.nan_to_num(a.detach(), 7), torch.nan_to_num(b.detach(), 7))
    if isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return a is b or a == b or repr(a) == repr(b)


def array(value):
    """A tensor or an array as float64."""
    if isinstance(value, torch.Tensor):
        value = _widest(value.detach().cpu()).numpy()
    if isinstance(value, list):
        value = [array(part) for part in value]
    return np.asarray(value, dtype=np.complex128 if np.iscomplexobj(value) else np.float64)


def precision(*values):
    """The rounding of the coarsest floating-point kind among these tensors."""
    kinds = [value.dtype for value in values if isinstance(value, torch.Tensor) and value.is_floating_point()]
    return max((torch.finfo(kind).eps for kind in kinds), default=np.finfo(np.float64).eps)


def assert_agree(result, expected, rounding):
    """Assert equal shapes and values that differ by no more than `rounding`, a number or an array; no new NaN."""
    result, expected = array(result), array(expected)
    assert result.shape == expected.shape
    assert not np.isnan(result).any()
    with np.errstate(invalid="ignore"):  # equal infinities
        differs = np.where(result == expected, 0.0, np.abs(result - expected))
    assert (differs <= rounding).all(), (result, expected)
