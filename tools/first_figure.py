"""Make the figure of the first page, `book/images/train_here.html`: `python tools/first_figure.py`. Needs Node.

Until its reader presses "Train", the figure shows what a run of so many steps came to; that run is made here, by the
same JavaScript.
"""

import base64
import dataclasses
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch

from siamese_triplet import live
from siamese_triplet.live.embeddings import encode_points, scatter_image
from siamese_triplet.live.training import page_images

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "book" / "images" / "train_here.html"
N_STEPS = 400
RUN = """
import { readFileSync, writeFileSync } from "node:fs";
const [folder, given, found] = process.argv.slice(2);
const { decodeImages } = await import(`${folder}/training_data.mjs`);
const { settingsOf } = await import(`${folder}/choices.mjs`);
const { GALLERY, Trainer } = await import(`${folder}/trainer.mjs`);
const { neighbourAccuracy } = await import(`${folder}/diagnostics.mjs`);
const { packed, start, steps } = JSON.parse(readFileSync(given));
const data = await decodeImages(packed);
const trainer = new Trainer(settingsOf(start), data);
for (let step = 0; step < steps; step++) trainer.step();
const embedded = ({ images, labels }, n = labels.length) => {
  const size = data.height * data.width;
  return { rows: trainer.embed(images.subarray(0, n * size)), labels: labels.subarray(0, n) };
};
const accuracy = neighbourAccuracy(embedded(data.train, GALLERY), embedded(data.others), 2);
const rows = Buffer.from(trainer.embed(data.shown.images).buffer).toString("base64");
writeFileSync(found, JSON.stringify({ rows, accuracy, labels: [...data.shown.labels] }));
"""


def figure() -> live.LiveFigure:
    """Make the figure as the first page has it, without a poster."""
    os.environ[live.IN_BOOK] = "1"
    return live.train_in_page()


def train(start: dict, n_steps: int) -> dict:
    """Train in Node as the page would, from the settings `start`: the embeddings, their labels and the accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        script, given, found = (Path(folder) / name for name in ("run.mjs", "given.json", "found.json"))
        script.write_text(RUN)
        given.write_text(json.dumps({"packed": page_images(start["data"]), "start": start, "steps": n_steps}))
        modules = (Path(live.__file__).parent / "js").as_uri()
        subprocess.run(["node", str(script), modules, str(given), str(found)], check=True)
        return json.loads(found.read_text())


def main() -> None:
    made = figure()
    run = train(made.data["start"], N_STEPS)
    embeddings = torch.from_numpy(np.frombuffer(base64.b64decode(run["rows"]), "<f4").reshape(-1, 2).copy())
    says = (
        f"After {N_STEPS} steps: {100 * run['accuracy']:.1f} % of other test images are classified correctly by their "
        "neighbours. Press Train to begin anew."
    )
    poster = {**encode_points(embeddings), "labels": run["labels"], "says": says}
    classes = made.data["dataSets"][made.data["start"]["data"]]["classes"]
    still = scatter_image(embeddings, torch.tensor(run["labels"]), classes, made.alt)
    with_poster = dataclasses.replace(made, data={**made.data, "poster": poster}, still=still)
    TARGET.write_text(with_poster.to_html(with_script=False) + "\n", encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {says}")


if __name__ == "__main__":
    main()
