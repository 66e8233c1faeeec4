"""The explorers: change text, layer and head, and the picture follows. One for each lesson.

One file for each lesson, `shared` for what they share, and `page/` for the browser's side.
"""

from headlab.explorers.contrast import ShiftExplorer
from headlab.explorers.density import DensityExplorer
from headlab.explorers.heads import HeadExplorer
from headlab.explorers.intervention import InterventionExplorer
from headlab.explorers.mask import MaskExplorer
from headlab.explorers.profile import ProfileExplorer
from headlab.explorers.split import SplittingExplorer

__all__ = [
    "DensityExplorer",
    "HeadExplorer",
    "InterventionExplorer",
    "MaskExplorer",
    "ProfileExplorer",
    "ShiftExplorer",
    "SplittingExplorer",
]
