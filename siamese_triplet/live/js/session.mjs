// A worker that trains for a figure: made when it is first needed, told the settings, paused while the page is hidden.

import { trainingWorker } from "./training_client.mjs";

/** `on` has a function for each kind of message from the worker; see training_worker. */
export function session(on) {
  let [worker, isRunning, pausedByHiding, waiting, nextId] = [null, false, false, new Map(), 0];

  function post(message) {
    worker.postMessage(message);
  }

  function receive({ data: message }) {
    if (message.type === "running") isRunning = message.isRunning;
    if (message.type === "embedded") {
      waiting.get(message.id)?.(message.embeddings);
      waiting.delete(message.id);
    } else on[message.type]?.(message);
  }

  document.addEventListener("visibilitychange", () => {
    if (!worker) return;
    if (document.hidden && isRunning) {
      pausedByHiding = true;
      post({ type: "pause" });
    } else if (!document.hidden && pausedByHiding) {
      pausedByHiding = false;
      post({ type: "start" });
    }
  });

  return {
    create(runs, data) {
      if (!worker) {
        worker = trainingWorker();
        worker.addEventListener("message", receive);
        worker.addEventListener("error", (event) => on.error?.({ message: event.message ?? "the worker could not be started" }));
      }
      waiting.clear();
      post({ type: "create", runs, data });
    },
    post,
    /** Promises the embedding of an image by a run. */
    embed: (image, run = 0) =>
      new Promise((resolve) => {
        nextId += 1;
        waiting.set(nextId, resolve);
        post({ type: "embed", run, id: nextId, images: image });
      }),
    isMade: () => worker !== null,
    isRunning: () => isRunning,
  };
}
