"""Regenerate all results and outputs of the book: `python tools/regenerate.py [--list] [--from STEP]`.

The steps are experiments, benchmarks, tables, chapters and pictures; each is a command, which is printed before it
runs. Interrupted experiments are resumed. Results in `book/results` are not computed again: delete a file to recompute
it. `SIAMESE_TRIPLET_DATA` names the folder of the data.
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

# The chapters by the runs that they reuse instead of training: none, the checkpoints of `reproduce`, or stored results.
CHAPTERS_OF = {
    "": "01_softmax 02_siamese 03_triplet 07_selectors 14_what_goes_wrong "
    "16_your_own_images 17_search 18_using_embeddings training many_devices solutions",
    KEPT: "06_fashion_mnist",
    "book/results": "04_online_pairs 05_online_triplets 08_hands_on 10_unseen_classes 11_omniglot 12_many_classes "
    "13_choosing 15_pretrained 19_today",
}

STEPS = {
    "reproduction": f"-m siamese_triplet reproduce --seeds 3 {FAST} --out {KEPT}",
    "methods": f"-m siamese_triplet compare --part seen --part unseen {FAST}",
    "evidence": f"-m siamese_triplet evidence {FAST}",
    "settings": f"-m siamese_triplet compare --part sweep --part settings --short-epochs 2 {FAST}",
    "omniglot": "-m siamese_triplet omniglot --bfloat16",
    "omniglot-selection": "-m siamese_triplet omniglot --selection --epochs 40 --bfloat16",
    "omniglot-official": "-m siamese_triplet omniglot --official",
    "emoji": "-m siamese_triplet emoji",
    "pretrained": "-m siamese_triplet pretrained",
    "today": "-m siamese_triplet today",
    "selection-speed": "benchmarks/selection.py --out book/results",
    "training-speed": "benchmarks/training.py --out book/results",
    "evaluation-speed": "benchmarks/evaluation.py --out book/results",
    "scale": "benchmarks/scale.py --out book/results",
    "search": "benchmarks/search.py --out book/results",
    "page-speed": "benchmarks/page.py --out book/results",
    "report": "-m siamese_triplet compare --part report",
    "tables": "tools/tables.py",
    "chapters": f"tools/execute.py --recipe full {CHAPTERS_OF['']}",
    "chapters-with-checkpoints": f"tools/execute.py --recipe full --runs {KEPT} {CHAPTERS_OF[KEPT]}",
    "chapters-with-results": f"tools/execute.py --recipe full --runs book/results {CHAPTERS_OF['book/results']}",
    "costs": "tools/costs.py",
    "pictures": "tools/pictures.py",
    "first-figure": "tools/first_figure.py",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the steps and run nothing")
    parser.add_argument("--from", dest="first", choices=STEPS, default=next(iter(STEPS)), help="start with this step")
    arguments = parser.parse_args()
    names = list(STEPS)
    for name in names[names.index(arguments.first) :]:
        print(f"{name}: python {STEPS[name]}", flush=True)
        if not arguments.list:
            started = time.perf_counter()
            subprocess.run([sys.executable, *shlex.split(STEPS[name])], cwd=ROOT, check=True)
            print(f"{name}: {(time.perf_counter() - started) / 60:.1f} min", flush=True)


if __name__ == "__main__":
    main()
