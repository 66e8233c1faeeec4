"""headlab: GPT-2's attention heads taken apart, one small module for each lesson."""

import sys

__version__ = "0.2.0"

if sys.flags.optimize > 1:
    raise ImportError("PYTHONOPTIMIZE: expected 0 or 1, since transformers reads docstrings, got 2 (or -OO)")

# A console without some letter, such as the ⏎ of a token's label in cp1252, shows its number instead of an error.
if getattr(sys.stdout, "errors", None) == "strict" and hasattr(sys.stdout, "reconfigure"):
    sys.stdout.reconfigure(errors="backslashreplace")
