"""`pytest --nbval` runs the chapters in the quick recipe, on any machine."""

import os

os.environ["SIAMESE_TRIPLET_RECIPE"] = "quick"
os.environ["TQDM_DISABLE"] = "1"  # the stored outputs have no progress bars
