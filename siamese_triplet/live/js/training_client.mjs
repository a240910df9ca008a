// The page's side of training_worker: starts the worker from the script that is in the page already.

import { sources } from "./bundle.mjs";

// In the order of their imports.
const MODULES = [
  "random",
  "kernel_bytes",
  "plain",
  "kernels",
  "layers",
  "network",
  "adam",
  "tuples",
  "losses",
  "settings",
  "batches",
  "diagnostics",
  "trainer",
  "training_session",
  "training_data",
  "training_worker",
];

/** Starts a worker that speaks the protocol of training_worker. */
export function trainingWorker() {
  const makers = MODULES.map((name) => `modules.${name} = (${sources[name]})();`);
  const script = ["const modules = {};", ...makers, "modules.training_worker.serve(self);"].join("\n");
  const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const worker = new Worker(address);
  worker.addEventListener("message", () => URL.revokeObjectURL(address), { once: true });
  return worker;
}
