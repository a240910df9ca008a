// The runs of a training worker: their common clock, their frames and their measurements, in slices of time.

import { neighbourAccuracy } from "./diagnostics.mjs";
import { kernelsHere } from "./kernels.mjs";
import { GALLERY, NEIGHBOURS, Trainer } from "./trainer.mjs";

export const SLICE = 40; // ms
export const ACCURACY_EVERY = 25; // steps

const LEAST_PAUSE = 50; // ms between two frames
const SHARE_OF_FRAMES = 0.2; // of the time

/** One or two runs; `post(message, transfer)` sends what the head of training_worker describes. */
export class Session {
  constructor({ runs, data, kernel = kernelsHere()[0] }, post) {
    this.data = data;
    this.post = post;
    this.trainers = runs.map((settings) => new Trainer(settings, data, kernel));
    this.begin();
    post({ type: "ready", kernel, nWeights: this.trainers.map(({ network }) => network.places.length), shown: data.shown });
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
    this.isRunning = goal > this.step;
    this.post({ type: "running", isRunning: this.isRunning, step: this.step });
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
        if (this.step === this.goal && this.isRunning) this.aim(this.goal);
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
