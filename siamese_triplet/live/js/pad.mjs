// A pad to draw a digit on, and where a network places it: its point, and the test images nearest to it.

import { announcement, button, element } from "./controls.mjs";
import { nearestOf } from "./diagnostics.mjs";
import { alter, normaliseDigit } from "./digits.mjs";

const [SIDE, INK_SIDE, BRUSH] = [28, 168, 13];
const NEAREST = 8;
const FAR = 3; // times the usual distance between neighbours
const TURN = Math.PI / 18;

/**
 * `images` are {images, labels} of test images, `classes` their names. `embed(image)` promises the two numbers of a
 * 28 × 28 image, `rows()` gives the embeddings of `images` by the same network, null before there are any, and `onPoint(point)` shows the place.
 */
export function digitPad({ images, classes, embed, rows, onPoint }) {
  const canvas = element("canvas", { width: INK_SIDE, height: INK_SIDE, tabIndex: 0, role: "application", className: "pad", "aria-label": "pad to draw a digit on; with the keyboard, N brings a test image, arrow keys move it, R turns it, plus and minus change its strokes, Escape clears" });
  const seen = element("canvas", { width: SIDE, height: SIDE, role: "img", className: "seen", "aria-label": "what the network sees" });
  const says = announcement();
  const thumbs = element("ol", { className: "thumbs" });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  let [image, base, changes, last, number, isWanted, isAsking] = [null, null, null, null, -1, false, false];

  function clear() {
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, INK_SIDE, INK_SIDE);
    [image, base] = [null, null];
    seen.getContext("2d").clearRect(0, 0, SIDE, SIDE);
    thumbs.replaceChildren();
    says.textContent = "";
    onPoint(null);
  }

  function stroke(from, to) {
    Object.assign(pen, { lineWidth: BRUSH, lineCap: "round", strokeStyle: "#000" });
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(to[0] + 0.01, to[1]);
    pen.stroke();
    base = null;
  }

  function read() {
    const { data } = pen.getImageData(0, 0, INK_SIDE, INK_SIDE);
    image = normaliseDigit(Float32Array.from({ length: INK_SIDE ** 2 }, (_, i) => 255 - data[4 * i]), INK_SIDE, INK_SIDE);
    return place();
  }

  /** Takes the next test image, to be changed by the keyboard or the buttons. */
  function takeImage() {
    number = (number + 37) % images.labels.length; // another class each time
    base = Float32Array.from(images.images.subarray(number * SIDE ** 2, (number + 1) * SIDE ** 2));
    changes = { turn: 0, dx: 0, dy: 0, weight: 0 };
    return showChanged();
  }

  function change(field, by) {
    if (!base) return takeImage();
    changes[field] += by;
    return showChanged();
  }

  function showChanged() {
    image = alter(base, changes);
    const small = element("canvas", { width: SIDE, height: SIDE });
    paint(small, image, 0);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(small, 0, 0, INK_SIDE, INK_SIDE);
    return place();
  }

  /** Shows where the network places the image now; asks again only when the last answer has come. */
  async function place() {
    if (!image) return;
    paint(seen, image, 0);
    isWanted = true;
    if (isAsking) return;
    isAsking = true;
    while (isWanted && image) {
      isWanted = false;
      const point = await embed(image);
      if (image && rows()) tell(point);
    }
    isAsking = false;
  }

  function tell(point) {
    const all = rows();
    const n = images.labels.length;
    const found = nearestOf(all, n, 2, point, 0, NEAREST);
    const distance = (index) => Math.hypot(all[2 * index] - point[0], all[2 * index + 1] - point[1]);
    onPoint([...point]);
    thumbs.replaceChildren(
      ...found.map((index) => {
        const thumb = element("canvas", { width: SIDE, height: SIDE, role: "img", "aria-label": classes[images.labels[index]] });
        paint(thumb, images.images, index);
        return element("li", {}, thumb, element("span", { textContent: classes[images.labels[index]] }));
      }),
    );
    const counts = new Map();
    for (const index of found) counts.set(images.labels[index], (counts.get(images.labels[index]) ?? 0) + 1);
    const [[label, most]] = [...counts].sort((one, other) => other[1] - one[1]);
    const isFar = distance(found[0]) > FAR * usualDistance(all, n);
    const among = most === NEAREST ? `All ${NEAREST} nearest images are ${classes[label]}.` : `Of the ${NEAREST} nearest images ${most} are ${classes[label]}, the others ${[...counts.keys()].filter((other) => other !== label).map((other) => classes[other]).join(", ")}.`;
    says.textContent = among + (isFar ? " But it lies far from all of them: this may be no digit at all." : "");
  }

  const placeOf = (event) => [event.offsetX, event.offsetY].map((value) => (value * INK_SIDE) / canvas.clientWidth);
  canvas.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    canvas.focus();
    canvas.setPointerCapture(event.pointerId);
    if (base) clear();
    last = placeOf(event);
    stroke(last, last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const to = placeOf(event);
    stroke(last, to);
    last = to;
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, () => {
      if (last) read();
      last = null;
    });
  }
  const keys = {
    ArrowLeft: ["dx", -1], ArrowRight: ["dx", 1], ArrowUp: ["dy", -1], ArrowDown: ["dy", 1],
    r: ["turn", TURN], R: ["turn", -TURN], "+": ["weight", 1], "-": ["weight", -1],
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "n" || event.key === "N") takeImage();
    else if (event.key === "Escape") clear();
    else if (Object.hasOwn(keys, event.key)) change(...keys[event.key]);
    else return;
    event.preventDefault();
  });
  const buttons = [
    button("Clear", clear),
    button("A test image", takeImage),
    button("Turn", () => change("turn", TURN)),
    button("Thicker", () => change("weight", 1)),
    button("Thinner", () => change("weight", -1)),
  ];
  const hint = element("p", { className: "hint", textContent: "Draw a digit. Whatever you draw lands somewhere: a network like this has no answer that says “none of these”, only a distance." });
  const box = element("div", { className: "drawing" }, element("div", {}, canvas, element("div", { className: "choices" }, ...buttons)), element("div", {}, hint, element("div", { className: "shown" }, seen, says), thumbs));
  clear();
  return { box, place };
}

/** The median distance from an embedding to the nearest other one. */
function usualDistance(rows, n) {
  const nearest = Array.from({ length: n }, (_, index) => {
    const [, other] = nearestOf(rows, n, 2, rows, 2 * index, 2);
    return Math.hypot(rows[2 * other] - rows[2 * index], rows[2 * other + 1] - rows[2 * index + 1]);
  });
  return nearest.sort((one, other) => one - other)[Math.floor(n / 2)];
}

/** Paints image `number` of `images`, dark on light. */
function paint(canvas, images, number) {
  const size = SIDE ** 2;
  const data = new Uint8ClampedArray(4 * size).fill(255);
  for (let i = 0; i < size; i++) data.fill(255 - images[number * size + i], 4 * i, 4 * i + 3);
  canvas.getContext("2d").putImageData(new ImageData(data, SIDE, SIDE), 0, 0);
}
