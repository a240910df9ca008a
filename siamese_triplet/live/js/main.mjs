// The custom element of the book's figures: <siamese-triplet-figure kind="…" name="…"> with its data as JSON inside.

import { addressOf } from "./address.mjs";
import { selectorBench } from "./bench.mjs";
import { element } from "./controls.mjs";
import { drawingFigure } from "./drawing.mjs";
import { familyFigure } from "./family.mjs";
import { settingsGallery } from "./gallery.mjs";
import { pairPlayground, tripletPlayground } from "./playground.mjs";
import { searchFigure } from "./search.mjs";
import { followTheme, STYLES } from "./theme.mjs";
import { trainingFigure } from "./training.mjs";
import { embeddingViewer } from "./viewer.mjs";

const TAG = "siamese-triplet-figure";
const DATA = "script[type='application/json']";
const KINDS = {
  "triplet-playground": tripletPlayground,
  "pair-playground": pairPlayground,
  "selector-bench": selectorBench,
  "embedding-viewer": embeddingViewer,
  "settings-gallery": settingsGallery,
  search: searchFigure,
  training: trainingFigure,
  drawing: drawingFigure,
  "loss-family": familyFigure,
};

class SiameseTripletFigure extends HTMLElement {
  connectedCallback() {
    if (this.querySelector(DATA)) this.draw();
    else document.addEventListener("DOMContentLoaded", () => this.draw(), { once: true }); // its children are not parsed yet
  }

  draw() {
    if (this.shadowRoot) return;
    try {
      this.drawFigure();
    } catch (error) {
      this.sayWhy(error);
    }
  }

  drawFigure() {
    const data = JSON.parse(this.querySelector(DATA).textContent);
    const kind = this.getAttribute("kind");
    if (!Object.hasOwn(KINDS, kind)) throw new Error(`there is no figure of the kind ${kind}`);
    const about = element("p", { id: "about", className: "unseen", textContent: this.querySelector("img")?.alt ?? this.querySelector("p")?.textContent ?? "" });
    const title = element("p", { className: "title", textContent: data.title });
    const body = element("div", { className: "figure", role: "group", "aria-label": data.title, "aria-describedby": "about" }, title, about);
    const print = element("div", { className: "print" }, element("slot"));
    this.attachShadow({ mode: "open" }).append(element("style", { textContent: STYLES }), body, print);
    const listeners = [];
    followTheme(this, () => listeners.forEach((listener) => listener()));
    const isPage = document.documentElement.hasAttribute("data-siamese-triplet-page");
    KINDS[kind]({ host: this, body, address: addressOf(this.getAttribute("name"), isPage), onTheme: (listener) => listeners.push(listener) }, data);
  }

  /** Shows what is there for paper in place of a figure that cannot be drawn, below the reason. */
  sayWhy(error) {
    const root = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    const reason = element("p", { className: "says", role: "alert", textContent: `This figure cannot be drawn: ${error.message}` });
    followTheme(this, () => {});
    root.replaceChildren(element("style", { textContent: STYLES }), element("div", { className: "figure" }, reason), element("slot"));
  }
}

if (!customElements.get(TAG)) customElements.define(TAG, SiameseTripletFigure);
