"""Live widgets, which need a running kernel: train with other settings and watch, or step through a selection.

`settings` → `session` (a thread: load, train, evaluate) → snapshots, records → pictures, tables → `panel`, `view`.

Only `controls`, `panel`, `picker` and `view` use ipywidgets. Importing `siamese_triplet` does not import this package.
"""

from siamese_triplet.explorer.picker import TripletPicker, pick_triplets
from siamese_triplet.explorer.records import Outcome
from siamese_triplet.explorer.settings import Settings
from siamese_triplet.explorer.view import Explorer, explore

__all__ = ["Explorer", "Outcome", "Settings", "TripletPicker", "explore", "pick_triplets"]
