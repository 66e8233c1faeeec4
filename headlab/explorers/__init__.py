"""The explorers: change text, layer and head, and the picture follows. Lessons 1 to 8 have one each.

Each is drawn in the browser, from numbers that Python sends once for each text. There is a file for each lesson,
`shared` for what they share, and `page/` for the browser's side.
"""

from headlab.explorers.contrast import ContrastExplorer
from headlab.explorers.density import DensityExplorer
from headlab.explorers.heads import HeadExplorer
from headlab.explorers.intervention import InterventionExplorer
from headlab.explorers.mask import MaskExplorer
from headlab.explorers.profile import ProfileExplorer
from headlab.explorers.recorded import recorded_gpt2
from headlab.explorers.shift import ShiftExplorer
from headlab.explorers.split import SplittingExplorer

EXPLORERS = (
    *(MaskExplorer, SplittingExplorer, HeadExplorer, ShiftExplorer, ContrastExplorer, DensityExplorer),
    *(ProfileExplorer, InterventionExplorer),
)  # in the order of the lessons

__all__ = ["EXPLORERS", "recorded_gpt2", *(explorer.__name__ for explorer in EXPLORERS)]
