// Trains runs with the page's arithmetic: node training_checks.mjs JS CASES RESULTS.
// JS is the folder of the modules, CASES a JSON file of {data, runs: [{settings, kernel, weights, nSteps}]}; RESULTS gets a
// JSON list of {steps: [{images, tuples, rows, loss, selected, active}], gradients, weights, embeddings}.

import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { setFlagsFromString } from "node:v8";

setFlagsFromString("--experimental-wasm-relaxed-simd"); // Node 20 needs it
const [folder, casesPath, resultsPath] = process.argv.slice(2);
const { Trainer } = await import(pathToFileURL(join(resolve(folder), "trainer.mjs")));
const { data, runs } = JSON.parse(readFileSync(casesPath));

const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const floats = (text) => new Float32Array(bytes(text).buffer);
const encode = (numbers) => Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength).toString("base64");

const train = { images: bytes(data.images), labels: bytes(data.labels) };
const results = runs.map(({ settings, kernel, weights, nSteps }) => {
  const trainer = new Trainer(settings, { ...data, train }, kernel);
  trainer.load(floats(weights));
  const result = { steps: [], embeddings: encode(trainer.embed(train.images)) };
  for (let step = 0; step < nSteps; step++) {
    const batch = trainer.nextBatch();
    const { loss, selected, active } = trainer.step(batch);
    if (step === 0) result.gradients = encode(trainer.network.read(trainer.kernel, trainer.store.gradients));
    const tuples = trainer.tuples?.positive ? [trainer.tuples.positive, trainer.tuples.negative] : [trainer.tuples ?? []];
    result.steps.push({ images: [...batch.images], tuples: tuples.map((list) => [...list]), rows: encode(trainer.rows.slice(0, batch.images.length * trainer.network.dimensions)), loss, selected, active });
  }
  return { ...result, weights: encode(trainer.weightsNow()) };
});
writeFileSync(resultsPath, JSON.stringify(results));
