// Images to train on: within the figure, as in a notebook, or in a file beside the page's script, loaded when chosen.

const STORE = "siameseTripletImages";
const found = new Map();

/** Promises the packed images `name`; `packed` holds them, or is null where a file beside the script does. */
export function imagesOf(name, packed) {
  if (!found.has(name)) {
    const promised = packed ? Promise.resolve(packed) : fromFile(name);
    promised.catch(() => found.delete(name)); // it can be tried again
    found.set(name, promised);
  }
  return found.get(name);
}

function fromFile(name) {
  return new Promise((resolve, reject) => {
    const own = document.querySelector('script[src*="siamese-triplet-figures.js"]');
    const script = document.createElement("script");
    script.src = new URL(`siamese-triplet-${name}.js`, own?.src ?? document.baseURI).href;
    script.onload = () => (window[STORE]?.[name] ? resolve(window[STORE][name]) : reject(new Error(`${script.src} holds no images`)));
    script.onerror = () => reject(new Error(`the images of ${name} could not be loaded from ${script.src}`));
    document.head.append(script);
  });
}
