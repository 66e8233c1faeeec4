"""headlab: GPT-2's attention heads taken apart, one small module for each lesson."""

__version__ = "0.1.0"
