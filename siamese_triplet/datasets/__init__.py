"""Data sets: labelled images, and pairs and triplets of them.

`load` gives the `Images` of MNIST, FashionMNIST, Omniglot and the emoji, `load_folder` those of your own folder;
`FolderImages` reads its files on access. `SiameseMNIST` and `TripletMNIST` draw pairs and triplets from `Images`.
"""

from siamese_triplet.datasets.colour import RandomColour
from siamese_triplet.datasets.downloads import MissingDataError
from siamese_triplet.datasets.emoji import load_emoji
from siamese_triplet.datasets.folder_images import FolderImages
from siamese_triplet.datasets.folders import load_folder
from siamese_triplet.datasets.images import Images, LabelledImages, normalization
from siamese_triplet.datasets.layouts import read_folder
from siamese_triplet.datasets.mnist import load
from siamese_triplet.datasets.omniglot import has_omniglot, load_omniglot, rotations_as_classes
from siamese_triplet.datasets.omniglot_runs import OneShotRuns, has_one_shot_runs, load_one_shot_runs
from siamese_triplet.datasets.pairs_and_triplets import SiameseMNIST, TripletMNIST
from siamese_triplet.datasets.photos import read_photo
from siamese_triplet.datasets.plan import FolderPlan, plan_folder
from siamese_triplet.datasets.warp import RandomWarp
from siamese_triplet.samplers import BalancedBatchSampler

__all__ = [
    "BalancedBatchSampler",
    "FolderImages",
    "FolderPlan",
    "Images",
    "LabelledImages",
    "MissingDataError",
    "OneShotRuns",
    "RandomColour",
    "RandomWarp",
    "SiameseMNIST",
    "TripletMNIST",
    "has_omniglot",
    "has_one_shot_runs",
    "load",
    "load_emoji",
    "load_folder",
    "load_omniglot",
    "load_one_shot_runs",
    "normalization",
    "plan_folder",
    "read_folder",
    "read_photo",
    "rotations_as_classes",
]
