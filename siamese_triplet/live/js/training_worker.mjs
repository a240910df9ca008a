// The Web Worker that trains: its protocol, and its clock.
//
// One worker holds one or two runs and steps them in turn, so that both have always taken the same number of steps: two
// workers would need a common clock, and on a telephone would share one core anyway. It trains in slices of SLICE ms and
// then lets messages in, so that every answer comes within a slice and one step, or one chunk of images to embed.
//
// Modules, from the bottom: kernel_bytes (WebAssembly of ../kernel/*.wat), kernels (which of three, and the memory), plain
// (the same in JavaScript), layers, network (forward, backward, weights in and out), adam, tuples (selectors), losses,
// settings, batches (samplers), diagnostics (spread, collapse, neighbours), trainer (one run), training_worker (this), and on the
// page's side training_client (`trainingWorker()` starts a worker from the bundled script) and training_data (decoding).
//
// Settings of a run, all with defaults (SETTINGS in settings):
//   network "8-16-64-64-2" or "32-64-256-256-2" (`EmbeddingNet`): channels, channels, units, units, dimensions
//   method "softmax", "siamese", "triplet", "online-contrastive" or "online-triplet"; selector, a name of the method's in settings
//   margin, unitSphere, nClasses × nSamples (online methods), batchSize (tuples or images, other methods),
//   learningRate, weightDecay, seed
// Images: {images: Uint8Array of n × height × width bytes, labels: Uint8Array of n}.
//
// To the worker:
//   {type: "create", runs: [settings, …], data: {train, shown, others, nClasses, mean, std, height, width}, kernel?}
//     the embeddings of `shown` are drawn, those of `others` measured; `kernel` "relaxed", "simd" or "plain", else the best
//   {type: "start"} | {type: "pause"} | {type: "step", n?} | {type: "reset", seed?} | {type: "dispose"}
//     all but dispose end with a frame of the step that was reached; reset keeps the settings, and stops
//   {type: "set", run, learningRate?, margin?}     from the next step on; other settings need a new "create"
//   {type: "embed", run, id, images}               Uint8Array, or Float32Array of 0 … 255, n × height × width
//   {type: "weights", run, id}                     asks for the weights
//   {type: "load", run, weights}                   Float32Array in PyTorch's order, see network.mjs; Adam begins anew
// From the worker:
//   {type: "ready", kernel, nWeights: [per run]}   after create, followed by a frame of step 0
//   {type: "frame", step, seconds, runs: [{embeddings: Float32Array, n × dimensions, transferred; points, accuracy}]}
//     at most 20 a second, fewer where embedding would take more than a fifth of the time; `seconds` of training, without
//     pauses; `points`: curve points since the last frame, [step, loss, selected, active, spread] each; `accuracy`:
//     [step, share] of 5 neighbours, `others` among `GALLERY` training images, measured every ACCURACY_EVERY steps, else null
//   {type: "collapse", run, step, loss, first, now} once a run; first and now are spreads
//   {type: "running", isRunning, step}             after start, pause, step and reset, and when the steps asked for are done
//   {type: "embedded", run, id, embeddings} | {type: "weights", run, id, weights}
//   {type: "error", message}                       the worker is idle then

import { kernelsHere } from "./kernels.mjs";
import { GALLERY, NEIGHBOURS, Trainer } from "./trainer.mjs";
import { neighbourAccuracy } from "./diagnostics.mjs";

export const SLICE = 40; // ms
export const ACCURACY_EVERY = 25; // steps

const LEAST_PAUSE = 50; // ms between two frames
const SHARE_OF_FRAMES = 0.2; // of the time

/** Serves the protocol above in `scope`, the global scope of a worker. */
export function serve(scope) {
  let session = null;
  const channel = new MessageChannel(); // quicker than setTimeout, which browsers hold back to 4 ms
  const post = (message, transfer = []) => scope.postMessage(message, transfer);
  const later = () => channel.port2.postMessage(null);
  const guarded = (act) => {
    try {
      act();
    } catch (error) {
      session?.stop();
      post({ type: "error", message: error.message });
    }
  };
  channel.port1.onmessage = () => guarded(() => session?.slice(later));
  scope.onmessage = ({ data: message }) =>
    guarded(() => {
      if (message.type === "create") session = new Session(message, post);
      else if (message.type === "dispose") session = null;
      else if (!session) throw new Error(`"${message.type}" came before "create"`);
      else session.handle(message);
      if (!session) channel.port1.close();
      else later();
    });
}

class Session {
  constructor({ runs, data, kernel = kernelsHere()[0] }, post) {
    this.data = data;
    this.post = post;
    this.trainers = runs.map((settings) => new Trainer(settings, data, kernel));
    this.begin();
    post({ type: "ready", kernel, nWeights: this.trainers.map(({ network }) => network.places.length) });
  }

  begin() {
    Object.assign(this, { step: 0, goal: 0, milliseconds: 0, framed: -1, measured: -ACCURACY_EVERY, lastFrame: -Infinity, frameCost: 0 });
    this.points = this.trainers.map(() => []);
    this.accuracy = this.trainers.map(() => null);
    this.work = this.endlessly();
  }

  handle(message) {
    const trainer = this.trainers[message.run ?? 0];
    if (!trainer) throw new Error(`there is no run ${message.run}; there are ${this.trainers.length}`);
    const { id, run } = message;
    if (message.type === "start") this.aim(Infinity);
    else if (message.type === "pause") this.aim(this.step);
    else if (message.type === "step") this.aim(this.step + (message.n ?? 1));
    else if (message.type === "reset") {
      this.trainers.forEach((each) => each.reset(message.seed));
      this.begin();
      this.aim(0);
    } else if (message.type === "set") {
      const { learningRate, margin } = message;
      trainer.set(Object.fromEntries(Object.entries({ learningRate, margin }).filter(([, value]) => value !== undefined)));
    } else if (message.type === "embed") this.send({ type: "embedded", run, id }, "embeddings", trainer.embed(message.images));
    else if (message.type === "weights") this.send({ type: "weights", run, id }, "weights", trainer.weightsNow());
    else if (message.type === "load") {
      trainer.load(message.weights);
      this.framed = -1;
      this.measured = -ACCURACY_EVERY;
    } else throw new Error(`unknown message "${message.type}"`);
  }

  send(message, name, numbers) {
    this.post({ ...message, [name]: numbers }, [numbers.buffer]);
  }

  aim(goal) {
    this.goal = goal;
    this.post({ type: "running", isRunning: goal > this.step, step: this.step });
  }

  stop() {
    this.goal = this.step;
    this.work = this.endlessly();
    this.framed = this.step; // what failed would fail again
  }

  /** Works for a slice of time, and calls `later` if there is more to do. */
  slice(later) {
    const started = performance.now();
    let isIdle = false;
    while (!isIdle && performance.now() < started + SLICE) isIdle = this.work.next().value === "idle";
    this.milliseconds += performance.now() - started;
    if (!isIdle) later();
  }

  /** Steps up to the goal and makes frames; yields after each piece of work, "idle" where there is nothing to do. */
  *endlessly() {
    while (true) {
      while (this.step < this.goal) {
        yield* this.stepAll();
        const pause = Math.max(LEAST_PAUSE, this.frameCost / SHARE_OF_FRAMES);
        if (this.step >= this.measured + ACCURACY_EVERY) yield* this.measure();
        if (performance.now() > this.lastFrame + pause) yield* this.frame();
        if (this.step === this.goal) this.aim(this.goal);
      }
      if (this.framed !== this.step) {
        if (this.step >= this.measured + ACCURACY_EVERY) yield* this.measure();
        yield* this.frame();
      } else yield "idle";
    }
  }

  *stepAll() {
    for (const [run, trainer] of this.trainers.entries()) {
      const { loss, selected, active, spread, collapse } = trainer.step();
      this.points[run].push([this.step + 1, loss, selected, active, spread]);
      if (collapse) this.post({ type: "collapse", run, step: this.step + 1, ...collapse });
      if (run < this.trainers.length - 1) yield;
    }
    this.step++;
    yield;
  }

  *measure() {
    const { train, others } = this.data;
    const n = Math.min(GALLERY, train.labels.length);
    this.measured = this.step;
    for (const [run, trainer] of this.trainers.entries()) {
      const gallery = { rows: yield* trainer.embedding(train.images, 0, n), labels: train.labels.subarray(0, n) };
      const queries = { rows: yield* trainer.embedding(others.images, 0, others.labels.length), labels: others.labels };
      this.accuracy[run] = [this.measured, neighbourAccuracy(gallery, queries, trainer.network.dimensions, NEIGHBOURS)];
    }
  }

  *frame() {
    const started = performance.now();
    const { shown } = this.data;
    const embeddings = [];
    for (const trainer of this.trainers) embeddings.push(yield* trainer.embedding(shown.images, 0, shown.labels.length));
    const runs = embeddings.map((rows, run) => ({ embeddings: rows, points: this.points[run], accuracy: this.accuracy[run] }));
    this.points = this.trainers.map(() => []);
    this.accuracy = this.trainers.map(() => null);
    this.framed = this.step;
    this.lastFrame = performance.now();
    this.frameCost = this.lastFrame - started;
    this.post({ type: "frame", step: this.step, seconds: this.milliseconds / 1000, runs }, embeddings.map(({ buffer }) => buffer));
  }
}
