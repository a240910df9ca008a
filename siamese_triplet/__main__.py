"""`python -m siamese_triplet`: train, evaluate and reproduce without a notebook."""

import sys

from siamese_triplet.cli import main

if __name__ == "__main__":
    sys.exit(main())
