// The custom element of the book's figures: <siamese-triplet-figure kind="…" name="…"> with its data as JSON inside.

import { addressOf } from "./address.mjs";
import { selectorBench } from "./bench.mjs";
import { element } from "./controls.mjs";
import { settingsGallery } from "./gallery.mjs";
import { pairPlayground, tripletPlayground } from "./playground.mjs";
import { followTheme, STYLES } from "./theme.mjs";
import { embeddingViewer } from "./viewer.mjs";

const TAG = "siamese-triplet-figure";
const DATA = "script[type='application/json']";
const KINDS = {
  "triplet-playground": tripletPlayground,
  "pair-playground": pairPlayground,
  "selector-bench": selectorBench,
  "embedding-viewer": embeddingViewer,
  "settings-gallery": settingsGallery,
};

class SiameseTripletFigure extends HTMLElement {
  connectedCallback() {
    if (this.querySelector(DATA)) this.draw();
    else document.addEventListener("DOMContentLoaded", () => this.draw(), { once: true }); // its children are not parsed yet
  }

  draw() {
    if (this.shadowRoot) return;
    const data = JSON.parse(this.querySelector(DATA).textContent);
    const about = element("p", { id: "about", className: "unseen", textContent: this.querySelector("img")?.alt ?? this.querySelector("p").textContent });
    const title = element("p", { className: "title", textContent: data.title });
    const body = element("div", { className: "figure", role: "group", "aria-label": data.title, "aria-describedby": "about" }, title, about);
    const print = element("div", { className: "print" }, element("slot"));
    this.attachShadow({ mode: "open" }).append(element("style", { textContent: STYLES }), body, print);
    const listeners = [];
    followTheme(this, () => listeners.forEach((listener) => listener()));
    const isPage = document.documentElement.hasAttribute("data-siamese-triplet-page");
    KINDS[this.getAttribute("kind")]({ host: this, body, address: addressOf(this.getAttribute("name"), isPage), onTheme: (listener) => listeners.push(listener) }, data);
  }
}

if (!customElements.get(TAG)) customElements.define(TAG, SiameseTripletFigure);
