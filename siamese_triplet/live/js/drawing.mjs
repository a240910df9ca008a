// A pad to draw a digit on, for a network that was trained beforehand.

import { announcement, element } from "./controls.mjs";
import { imagesOf } from "./datasets.mjs";
import { digitPad } from "./pad.mjs";
import { frameOf, markerSample, scatter } from "./scatter.mjs";
import { session } from "./session.mjs";
import { decodeWeights } from "./training_data.mjs";

const ANY_METHOD = { method: "online-triplet", selector: "random" }; // nothing is trained here

export function drawingFigure(view, data) {
  const { host, body } = view;
  const { name, packed, classes } = data.dataSet;
  const picture = scatter(host, { label: "embeddings of test images, and the place of the drawing", tall: 0.8 });
  const says = announcement();
  const legend = element("p", { className: "classes" });
  let [points, labels, flat, star, pad] = [null, null, null, null, null];

  const network = session({ ready, frame: ({ runs: [{ embeddings }] }) => show(embeddings), error: ({ message }) => (says.textContent = message) });

  async function prepare() {
    says.textContent = "Loading the network and the images …";
    const [images, weights] = await Promise.all([imagesOf(name, packed), decodeWeights(data.weights.weights)]);
    const { network: sizes, unitSphere, nClasses } = data.weights;
    network.create([{ network: sizes, unitSphere, ...(nClasses ? { method: "softmax" } : ANY_METHOD) }], images);
    network.post({ type: "load", run: 0, weights });
    says.textContent = "";
  }

  function ready({ shown }) {
    labels = [...shown.labels];
    pad = digitPad({ images: shown, classes, embed: (image) => network.embed(image), rows: () => flat, onPoint: (point) => ((star = point), draw()) });
    body.append(pad.box);
  }

  function show(embeddings) {
    flat = embeddings;
    points = Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
    draw();
    pad?.place();
  }

  function draw() {
    if (points) picture.draw({ points, labels, frame: frameOf(points), star });
  }

  function update() {
    legend.replaceChildren(...classes.map((each, label) => element("span", {}, markerSample(host, label), ` ${each}`)));
    draw();
  }

  body.append(says, picture.box, legend);
  view.onTheme(update);
  update();
  const whenSeen = new IntersectionObserver((entries) => {
    if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
    whenSeen.disconnect();
    prepare().catch(({ message }) => (says.textContent = message));
  });
  whenSeen.observe(host);
}
