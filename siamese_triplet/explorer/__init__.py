"""Live widgets, which need a running kernel: train and watch, step through a selection, search for an image.

`settings` → `session` (a thread: load, train, evaluate) → snapshots, records → pictures, tables → `panel`, `view`.

Only `controls`, `finder`, `panel`, `picker` and `view` use ipywidgets. Importing `siamese_triplet` does not import this
package.
"""

from siamese_triplet.explorer.finder import Finder, find_images
from siamese_triplet.explorer.picker import TripletPicker, pick_triplets
from siamese_triplet.explorer.records import Outcome
from siamese_triplet.explorer.settings import Settings
from siamese_triplet.explorer.view import Explorer, explore

__all__ = ["Explorer", "Finder", "Outcome", "Settings", "TripletPicker", "explore", "find_images", "pick_triplets"]
