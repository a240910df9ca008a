"""`pytest --nbval` runs the chapters in the quick recipe: one epoch of 1,000 images."""

import os

import pytest

os.environ["SIAMESE_TRIPLET_RECIPE"] = "quick:1:100"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # several notebooks run at once
os.environ["TQDM_DISABLE"] = "1"  # the stored outputs have no progress bars
os.environ["SIAMESE_TRIPLET_IN_BOOK"] = "1"  # nor the script of the live figures

NEEDS_OMNIGLOT = "11_omniglot.ipynb"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    omniglot_items = [item for item in items if item.path.name == NEEDS_OMNIGLOT]
    if not omniglot_items:
        return
    from siamese_triplet.datasets.omniglot import has_omniglot

    if not has_omniglot("minimal"):
        reason = (
            "Omniglot is neither in the folder set by SIAMESE_TRIPLET_DATA nor in "
            "the cache, and tests download nothing"
        )
        for item in omniglot_items:
            item.add_marker(pytest.mark.skip(reason=reason))
