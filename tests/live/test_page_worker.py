"""The worker that trains in the page: its protocol, in Node with a stand-in for a worker's scope, and in Chromium."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import chromium, record_problems
from node import evaluate
from toy_data import part

from siamese_triplet.live import script
from siamese_triplet.live.training import page_images, page_network

PREPARE = """
  const { serve } = await load('training_worker');
  const { SLICE } = await load('training_session');
  const bytes = (text) => new Uint8Array(Buffer.from(text, 'base64'));
  const some = ({ images, labels }) => ({ images: bytes(images), labels: bytes(labels) });
  const data = { train: some(given.images), shown: some(given.images), others: some(given.images),
    nClasses: 10, mean: 0.1307, std: 0.3081, height: 28, width: 28 };
  const settings = { method: 'online-triplet', selector: 'batch-all', nClasses: 4, nSamples: 3, seed: 1 };
  const messages = [];
  const waiting = [];
  const scope = { postMessage: (message) => {
    messages.push(message);
    for (const each of waiting.splice(0)) each.isMet(message) ? each.resolve(message) : waiting.push(each);
  } };
  const until = (isMet) => new Promise((resolve) => waiting.push({ isMet, resolve }));
  const tell = (message) => scope.onmessage({ data: message });
  const pointsOf = (run) => messages.flatMap((message) => (message.type === 'frame' ? message.runs[run].points : []));
  const frame = (step) => until((message) => message.type === 'frame' && message.step >= step);
  let wakes = 0; // of the worker by itself
  const { postMessage } = MessagePort.prototype;
  MessagePort.prototype.postMessage = function (...given) { wakes += 1; postMessage.apply(this, given); };
  serve(scope);
"""


def images() -> dict[str, Any]:
    chosen = part(False, 8)
    return {
        "images": base64.b64encode(chosen.data.numpy().tobytes()).decode(),
        "labels": base64.b64encode(chosen.targets.to(torch.uint8).numpy().tobytes()).decode(),
    }


def talk(body: str, folder: Path) -> Any:
    """Evaluate a conversation with the worker, which ends when it is disposed of."""
    return evaluate(PREPARE + body, folder, {"images": images()})


def test_a_run_starts_with_a_frame_and_takes_the_steps_asked_for(tmp_path: Path) -> None:
    messages = talk(
        """
        tell({ type: 'create', runs: [settings], data, kernel: 'simd' });
        await frame(0);
        tell({ type: 'step', n: 30 });
        await frame(30);
        tell({ type: 'dispose' });
        return messages;
        """,
        tmp_path,
    )
    assert [message["type"] for message in messages[:3]] == ["ready", "frame", "running"]
    n_weights = sum(weight.numel() for weight in page_network().parameters())
    assert messages[0].pop("shown")["labels"]
    assert messages[0] == {"type": "ready", "kernel": "simd", "nWeights": [n_weights]}
    assert messages[1]["step"] == 0
    assert messages[1]["runs"][0]["accuracy"][0] == 0
    assert len(messages[1]["runs"][0]["embeddings"]) == 2 * 80
    frames = [message for message in messages if message["type"] == "frame"]
    points = [point for message in frames for point in message["runs"][0]["points"]]
    assert [point[0] for point in points] == list(range(1, 31))
    assert all(len(point) == 5 for point in points)
    measured = [message["runs"][0]["accuracy"] for message in frames if message["runs"][0]["accuracy"]]
    assert [step for step, _ in measured] == [0, 25]
    assert all(0 <= share <= 1 for _, share in measured)
    running = [(message["isRunning"], message["step"]) for message in messages if message["type"] == "running"]
    assert running == [(True, 0), (False, 30)]


def test_it_pauses_within_a_slice_and_goes_on(tmp_path: Path) -> None:
    result = talk(
        """
        tell({ type: 'create', runs: [settings], data });
        tell({ type: 'start' });
        await frame(3);
        tell({ type: 'pause' });
        const paused = messages.at(-1);
        const { step } = await frame(paused.step);
        await new Promise((resolve) => setTimeout(resolve, 3 * SLICE));
        const still = messages.at(-1);
        const wakesBefore = wakes;
        await new Promise((resolve) => setTimeout(resolve, SLICE));
        const isAsleep = wakes === wakesBefore;
        tell({ type: 'start' });
        const later = await frame(step + 2);
        tell({ type: 'dispose' });
        return { paused, step, still, later, isAsleep };
        """,
        tmp_path,
    )
    assert result["paused"]["type"] == "running"
    assert not result["paused"]["isRunning"]
    assert result["step"] == result["paused"]["step"]
    assert (result["still"]["type"], result["still"]["step"]) == ("frame", result["step"])
    assert result["isAsleep"]
    assert result["later"]["step"] > result["step"]


def test_many_messages_do_not_crowd_the_next_one_out(tmp_path: Path) -> None:
    wakes = talk(
        """
        tell({ type: 'create', runs: [settings], data });
        tell({ type: 'start' });
        for (let i = 0; i < 20; i++) tell({ type: 'set', run: 0, margin: 1 + i });
        const found = wakes;
        tell({ type: 'dispose' });
        return found;
        """,
        tmp_path,
    )
    assert wakes == 1


def test_a_worker_can_begin_anew(tmp_path: Path) -> None:
    steps = talk(
        """
        const steps = [];
        for (let i = 0; i < 2; i++) {
          tell({ type: 'create', runs: [settings], data });
          tell({ type: 'step', n: 2 });
          steps.push((await frame(2)).step);
          if (i) tell({ type: 'dispose' });
          messages.length = 0;
        }
        return steps;
        """,
        tmp_path,
    )
    assert steps == [2, 2]


def test_packed_images_are_decoded_first(tmp_path: Path) -> None:
    kinds, shown, error = evaluate(
        PREPARE
        + """
        tell({ type: 'create', runs: [settings], data: given.packed });
        tell({ type: 'step' });
        await frame(1);
        const kinds = messages.map(({ type }) => type);
        const { shown } = messages[0];
        tell({ type: 'create', runs: [settings], data: { ...given.packed, images: 'AAAA' } });
        tell({ type: 'dispose' });
        const error = await until(({ type }) => type === 'error');
        return [kinds, [shown.images.length, shown.labels.length], error.message];
        """,
        tmp_path,
        {"images": images(), "packed": page_images()},
    )
    assert kinds[:2] == ["ready", "running"]
    assert "frame" in kinds
    assert shown == [500 * 784, 500]
    assert error.startswith("the images cannot be decoded")


def test_two_runs_keep_step_and_the_same_settings_give_the_same_run(tmp_path: Path) -> None:
    first, second, other, again = talk(
        """
        tell({ type: 'create', runs: [settings, settings, { ...settings, seed: 2 }], data });
        await frame(0);
        tell({ type: 'step', n: 5 });
        const { runs } = await frame(5);
        const found = runs.map(({ embeddings }, run) => [pointsOf(run), [...embeddings]]);
        tell({ type: 'reset' });
        await frame(0);
        messages.length = 0;
        tell({ type: 'step', n: 5 });
        const { runs: [again] } = await frame(5);
        tell({ type: 'dispose' });
        return [...found, [pointsOf(0), [...again.embeddings]]];
        """,
        tmp_path,
    )
    assert first == second == again
    assert len(first[0]) == 5
    assert first[0] != other[0]


def test_a_setting_can_be_changed_while_it_trains(tmp_path: Path) -> None:
    changed, kept, error = talk(
        """
        tell({ type: 'create', runs: [settings, settings], data });
        tell({ type: 'set', run: 0, margin: 3, learningRate: 0 });
        tell({ type: 'step', n: 2 });
        await frame(2);
        const points = [pointsOf(0), pointsOf(1)];
        tell({ type: 'set', run: 0, seed: 4, margin: 2 });
        tell({ type: 'set', run: 2, margin: 2 });
        tell({ type: 'dispose' });
        return [...points, messages.at(-1)];
        """,
        tmp_path,
    )
    assert changed[0][1] == pytest.approx(kept[0][1] + 2, abs=0.1)  # the loss of the first step
    assert changed[1][1] != kept[1][1]
    assert error == {"type": "error", "message": "there is no run 2; there are 2"}


def test_weights_and_embeddings_are_sent_when_asked_for(tmp_path: Path) -> None:
    found = talk(
        """
        tell({ type: 'create', runs: [settings], data });
        tell({ type: 'weights', run: 0, id: 7 });
        const { weights, id } = messages.at(-1);
        tell({ type: 'embed', run: 0, id: 8, images: data.shown.images });
        const whole = messages.at(-1);
        tell({ type: 'embed', run: 0, id: 9, images: Float32Array.from(data.shown.images) });
        const float = messages.at(-1);
        await frame(0);
        messages.length = 0;
        tell({ type: 'load', run: 0, weights: weights.map((weight) => 2 * weight) });
        const { runs } = await frame(0);
        tell({ type: 'weights', run: 0 });
        const loaded = messages.at(-1).weights;
        tell({ type: 'load', run: 0, weights: weights.subarray(1) });
        const message = messages.at(-1).message;
        tell({ type: 'dispose' });
        return { id, ids: [whole.id, float.id], whole: [...whole.embeddings], float: [...float.embeddings],
          isDouble: loaded.every((weight, i) => weight === 2 * weights[i]), shown: [...runs[0].embeddings], message };
        """,
        tmp_path,
    )
    assert (found["id"], found["ids"]) == (7, [8, 9])
    assert found["whole"] == pytest.approx(found["float"], abs=1e-6)
    assert found["isDouble"]
    assert found["shown"] != pytest.approx(found["whole"], abs=1e-3)
    assert found["message"] == "this network has 24166 weights, got 24165"


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("{ type: 'start' }", '"start" came before "create"'),
        ("{ type: 'create', runs: [{ ...settings, method: 'magic' }], data }", "unknown method magic"),
        ("{ type: 'create', runs: [{ ...settings, network: 'deep' }], data }", "unknown network deep"),
        (
            "{ type: 'create', runs: [{ ...settings, selector: 'hard' }], data }",
            "does not go with the method online-triplet",
        ),
        ("{ type: 'create', runs: [{ ...settings, method: 'softmax' }], data }", "softmax: it uses none"),
        (
            "{ type: 'create', runs: [{ ...settings, nSamples: 1 }], data }",
            "nSamples must be a whole number of at least 2",
        ),
        ("{ type: 'create', runs: [{ ...settings, seed: 0.5 }], data }", "seed must be a whole number"),
        ("{ type: 'create', runs: [{ ...settings, lr: 1 }], data }", "unknown setting lr"),
        ("{ type: 'create', runs: [settings], data, kernel: 'cuda' }", "unknown kernel cuda"),
        ("{ type: 'create', runs: [settings], data: { ...data, height: 14 } }", "14 × 28: they must be square"),
    ],
)
def test_errors_say_what_is_wrong(message: str, error: str, tmp_path: Path) -> None:
    found = talk(f"tell({message}); tell({{ type: 'dispose' }}); return messages.at(-1);", tmp_path)
    assert found["type"] == "error"
    assert error in found["message"]


def test_a_run_that_diverges_stops_and_says_so(tmp_path: Path) -> None:
    error, last = talk(
        """
        tell({ type: 'create', runs: [{ ...settings, learningRate: 1e30 }], data });
        tell({ type: 'start' });
        const error = await until(({ type }) => type === 'error');
        await new Promise((resolve) => setTimeout(resolve, 3 * SLICE));
        tell({ type: 'dispose' });
        return [error, messages.at(-1)];
        """,
        tmp_path,
    )
    assert "has diverged; lower the learning rate" in error["message"]
    assert last == error


def test_memory_stays_flat_over_10_000_steps(tmp_path: Path) -> None:
    grown, memory = evaluate(
        PREPARE
        + """
        const { Trainer } = await load('trainer');
        const trainer = new Trainer({ ...settings, nClasses: 2, nSamples: 2 }, data, 'simd');
        const memory = trainer.kernel.floats.buffer;
        const train = (n) => { for (let i = 0; i < n; i++) trainer.step(); gc(); return process.memoryUsage(); };
        const before = train(1000);
        const after = train(9000);
        tell({ type: 'dispose' });
        return [after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers,
          trainer.kernel.floats.buffer === memory && memory.byteLength > 0];
        """,
        tmp_path,
        {"images": images()},
        options=("--expose-gc",),
    )
    assert grown < 500_000  # bytes
    assert memory


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, list[str]]]:
    path = tmp_path_factory.mktemp("worker") / "page.html"
    start = "class SiameseTripletFigure"
    source = script().replace(start, f"window.modules = modules; {start}")
    path.write_text(f"<script>const images = {json.dumps(page_images())};</script><script>{source}</script>")
    with chromium() as browser:
        page = browser.new_page()
        problems = record_problems(page)
        page.goto(path.as_uri())
        yield page, problems


TRAIN = """async (settings) => {
  const worker = modules.training_client.trainingWorker();
  const found = { collapse: null, kernel: null, accuracy: null, delay: null };
  let asked;
  return new Promise((done) => {
    worker.onmessage = ({ data: message }) => {
      if (message.type === "ready") found.kernel = message.kernel;
      if (message.type === "collapse") found.collapse = message;
      if (message.type === "running" && !message.isRunning && asked) found.delay ??= performance.now() - asked;
      if (message.type !== "frame") return;
      if (message.runs[0].accuracy) found.accuracy = message.runs[0].accuracy;
      if (message.step >= 300 && !asked) {
        asked = performance.now();
        worker.postMessage({ type: "pause" });
      } else if (found.delay) {
        worker.terminate();
        done(found);
      }
    };
    worker.postMessage({ type: "create", runs: [settings], data: images });
    worker.postMessage({ type: "start" });
  });
}"""


def test_training_in_a_page_from_a_file_finds_the_digits(page: tuple[Any, list[str]]) -> None:
    tab, problems = page
    settings = {"method": "online-triplet", "selector": "batch-all", "learningRate": 3e-3, "seed": 0}
    found = tab.evaluate(TRAIN, settings)
    assert found["kernel"] == "relaxed"
    assert found["accuracy"][1] > 0.94
    assert found["collapse"] is None
    assert not problems


def test_the_hardest_negatives_collapse_from_scratch_and_it_is_said(page: tuple[Any, list[str]]) -> None:
    tab, problems = page
    found = tab.evaluate(TRAIN, {"method": "online-triplet", "selector": "hardest", "margin": 1, "seed": 0})
    assert found["collapse"]["loss"] == pytest.approx(1, abs=0.02)
    assert found["collapse"]["now"] < found["collapse"]["first"] / 2
    assert found["accuracy"][1] < 0.5
    assert not problems
