"""Make all results and outputs of the book anew: `python tools/regenerate.py [--list] [--from STEP]`.

Experiments, benchmarks, tables, chapters and pictures, one after the other, each a command that is printed before it
runs. The experiments go on where they were interrupted, and what has a result in `book/results` is not run again:
delete the file of what is to be made anew. `SIAMESE_TRIPLET_DATA` names the folder of the data.
"""

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
FAST = "--bfloat16 --channels-last"
KEPT = "runs/reproduce"

# Which runs a chapter takes instead of training its own: the checkpoints of `reproduce`, or the lists of results.
CHAPTERS_OF = {
    "": "01_softmax 02_siamese 03_triplet 04_online_pairs 05_online_triplets 07_selectors 13_what_goes_wrong "
    "14_your_own_images 15_using_embeddings 16_training 17_many_devices solutions",
    KEPT: "06_fashion_mnist",
    "book/results": "08_hands_on 10_unseen_classes 11_omniglot 12_choosing",
}

STEPS = {
    "reproduction": f"-m siamese_triplet reproduce --seeds 3 {FAST} --out {KEPT}",
    "methods": f"-m siamese_triplet compare --part seen --part unseen {FAST}",
    "settings": f"-m siamese_triplet compare --part sweep --part settings --short-epochs 2 {FAST}",
    "omniglot": "-m siamese_triplet omniglot --bfloat16",
    "omniglot-selection": "-m siamese_triplet omniglot --selection --seeds 1 --epochs 40 --bfloat16",
    "selection-speed": "benchmarks/selection.py --out book/results",
    "training-speed": "benchmarks/training.py --out book/results",
    "evaluation-speed": "benchmarks/evaluation.py --out book/results",
    "report": "-m siamese_triplet compare --part report",
    "tables": "tools/tables.py",
    "chapters": f"tools/execute.py --recipe full {CHAPTERS_OF['']}",
    "chapters-with-checkpoints": f"tools/execute.py --recipe full --runs {KEPT} {CHAPTERS_OF[KEPT]}",
    "chapters-with-results": f"tools/execute.py --recipe full --runs book/results {CHAPTERS_OF['book/results']}",
    "pictures": "tools/pictures.py",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the steps and run nothing")
    parser.add_argument("--from", dest="first", choices=STEPS, default=next(iter(STEPS)), help="begin with this step")
    given = parser.parse_args()
    names = list(STEPS)
    for name in names[names.index(given.first) :]:
        print(f"{name}: python {STEPS[name]}", flush=True)
        if not given.list:
            started = time.perf_counter()
            subprocess.run([sys.executable, *shlex.split(STEPS[name])], cwd=ROOT, check=True)
            print(f"{name}: {(time.perf_counter() - started) / 60:.1f} min", flush=True)


if __name__ == "__main__":
    main()
