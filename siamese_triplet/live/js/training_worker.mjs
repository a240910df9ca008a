// The Web Worker that trains: its protocol, and its clock.
//
// One worker holds one or two runs and steps them in turn, so that both have always taken the same number of steps: two
// workers would need a common clock, and on a telephone would share one core anyway. It trains in slices of SLICE ms and
// then lets messages in, so that every answer comes within a slice and one step.
//
// Modules, from the bottom: kernel_bytes (WebAssembly of ../kernel/*.wat), kernels (which of three, and the memory), plain
// (the same in JavaScript), layers, network (forward, backward, weights in and out), adam, tuples (selectors), losses,
// batches (samplers), diagnostics (spread, collapse, neighbours), trainer (one run), training_worker (this), and on the
// page's side training_client (`trainingWorker()` starts a worker from the bundled script) and training_data (decoding).
//
// Settings of a run, all but `method` with defaults (SETTINGS in trainer):
//   network "8-16-64-64-2" or "32-64-256-256-2" (`EmbeddingNet`): channels, channels, units, units, dimensions
//   method "softmax", "siamese", "triplet", "online-contrastive" or "online-triplet"; selector, a name of arithmetic's lists
//   margin, unitSphere, nClasses × nSamples (online methods), batchSize (tuples or images, other methods),
//   learningRate, weightDecay, seed
// Images: {images: Uint8Array of n × height × width bytes, labels: Uint8Array of n}.
//
// To the worker:
//   {type: "create", runs: [settings, …], data: {train, shown, others, nClasses, mean, std, height, width}, kernel?}
//     the embeddings of `shown` are drawn, those of `others` measured; `kernel` "relaxed", "simd" or "plain", else the best
//   {type: "start"} | {type: "pause"} | {type: "step", n?} | {type: "reset", seed?} | {type: "dispose"}
//   {type: "set", run, learningRate?, margin?}     from the next step on; other settings need a new "create"
//   {type: "embed", run, id, images}               Uint8Array, or Float32Array of 0 … 255, n × height × width
//   {type: "weights", run, id}                     asks for the weights
//   {type: "load", run, weights}                   Float32Array in PyTorch's order, see network.mjs; Adam begins anew
// From the worker:
//   {type: "ready", kernel, nWeights: [per run]}   after create and after reset, followed by a frame of step 0
//   {type: "frame", step, seconds, runs: [{embeddings: Float32Array, n × dimensions, transferred; points, accuracy}]}
//     at most 20 a second, fewer where embedding would take more than a fifth of the time; `seconds` of training, without
//     pauses; `points`: curve points since the last frame, [step, loss, selected, active, spread] each; `accuracy`:
//     [step, share] of 5 neighbours, `others` among `GALLERY` training images, or null where not measured for this frame
//   {type: "collapse", run, step, loss, first, now} once a run; first and now are spreads
//   {type: "running", isRunning, step}             after start, pause and step
//   {type: "embedded", run, id, embeddings} | {type: "weights", run, id, weights}
//   {type: "error", message}                       the worker is idle then

export const SLICE = 40; // ms
