"""What a reader may have set for the whole process, undone for a while."""

from contextlib import contextmanager

import torch


@contextmanager
def as_torch_starts():
    """torch with the default dtype and device that it starts with."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(dtype)
