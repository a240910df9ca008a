// The Web Worker that trains, and its protocol.
//
// One worker holds one or two runs and steps them in turn, so that both have always taken the same number of steps: two
// workers would need a common clock, and on a telephone would share one core anyway. It trains in slices of SLICE ms and
// then lets messages in, so that every answer comes within a slice and one step, or one chunk of images to embed.
//
// Modules, from the bottom: kernel_bytes (WebAssembly of ../kernel/*.wat), kernels (which of three, and the memory), plain
// (the same in JavaScript), layers, network (forward, backward, weights in and out), adam, tuples (selectors), losses,
// settings, batches (samplers), diagnostics (spread, collapse, neighbours), trainer (one run),
// training_session (the runs, their clock and their frames), training_worker (this), and on the page's side training_client
// (`trainingWorker()` starts a worker from the bundled script) and training_data (decoding).
//
// Settings of a run; all but `method` and its selector have defaults (SETTINGS in settings):
//   network "8-16-64-64-2" or "32-64-256-256-2" (`EmbeddingNet`): channels, channels, units, units, dimensions
//   method, selector: names of METHODS in settings
//   margin, unitSphere, nClasses × nSamples (online methods), batchSize (tuples or images, other methods),
//   learningRate, weightDecay, seed
// Images: {images: Uint8Array of n × height × width bytes, labels: Uint8Array of n}.
//
// To the worker:
//   {type: "create", runs: [settings, …], data: {train, shown, others, nClasses, mean, std, height, width}, kernel?}
//     the embeddings of `shown` are drawn, those of `others` measured; `data` may also be as `page_images` packs it: it is
//     decoded here, so that the page is not held up; `kernel` is "relaxed", "simd" or "plain", else the best
//   {type: "start"} | {type: "pause"} | {type: "step", n?} | {type: "reset", seed?} | {type: "dispose"}
//     all but dispose end with a frame of the step that was reached; reset keeps the settings, and stops
//   {type: "set", run, learningRate?, margin?}     from the next step on; other settings need a new "create"
//   {type: "embed", run, id, images}               Uint8Array, or Float32Array of 0 … 255, n × height × width
//   {type: "weights", run, id}                     asks for the weights
//   {type: "load", run, weights}                   Float32Array in PyTorch's order, see network.mjs; Adam begins anew
// From the worker:
//   {type: "ready", kernel, nWeights: [per run], shown}   after create, followed by a frame of step 0; `shown` is a copy
//   {type: "frame", step, seconds, runs: [{embeddings: Float32Array, n × dimensions, transferred; points, accuracy}]}
//     at most 20 a second, fewer where embedding would take more than a fifth of the time; `seconds` of training, without
//     pauses; `points`: curve points since the last frame, [step, loss, selected, active, spread] each; `accuracy`:
//     [step, share] of 5 neighbours, `others` among `GALLERY` training images, measured every ACCURACY_EVERY steps, else null
//   {type: "collapse", run, step, loss, first, now} once a run; first and now are spreads
//   {type: "running", isRunning, step}             after start, pause, step and reset, and when the steps asked for are done
//   {type: "embedded", run, id, embeddings} | {type: "weights", run, id, weights}
//   {type: "error", message}                       the worker is idle then

import { decodeImages } from "./training_data.mjs";
import { Session } from "./training_session.mjs";

/** Serves the protocol above in `scope`, the global scope of a worker. */
export function serve(scope) {
  let session = null;
  let clock = null;
  const post = (message, transfer = []) => scope.postMessage(message, transfer);
  const guarded = (act) => {
    try {
      act();
    } catch (error) {
      session?.stop();
      post({ type: "error", message: error.message });
    }
  };
  const end = () => {
    clock?.close();
    [clock, session] = [null, null];
  };
  const begin = (message) => {
    end();
    session = new Session(message, post);
    clock = clockOf(() => guarded(() => session.slice(clock.wake)));
  };
  const receive = (message) =>
    guarded(() => {
      if (message.type === "create") begin(message);
      else if (message.type === "dispose") end();
      else if (!session) throw new Error(`"${message.type}" came before "create"`);
      else session.handle(message);
      clock?.wake();
    });
  let waiting = null; // messages that came while images are decoded
  scope.onmessage = ({ data: message }) => {
    if (waiting) waiting.push(message);
    else if (message.type === "create" && typeof message.data?.images === "string") {
      waiting = [];
      const go = (act) => {
        act();
        const messages = waiting;
        waiting = null;
        messages.forEach(receive);
      };
      decodeImages(message.data).then(
        (data) => go(() => receive({ ...message, data })),
        (error) => go(() => post({ type: "error", message: `the images cannot be decoded: ${error.message}` })),
      );
    } else receive(message);
  };
}

/**
 * A clock that calls `act` soon after each `wake`, once for all that came meanwhile, and after messages that wait already.
 * By a message channel: it is quicker than setTimeout, which browsers hold back to 4 ms.
 */
function clockOf(act) {
  const channel = new MessageChannel();
  let isAwake = false;
  channel.port1.onmessage = () => {
    isAwake = false;
    act();
  };
  const wake = () => {
    if (!isAwake) channel.port2.postMessage(null);
    isAwake = true;
  };
  return { wake, close: () => channel.port1.close() };
}
