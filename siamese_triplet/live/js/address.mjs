// The state of a figure in the page's address, so that it can be linked to: `?name.margin=1.5&name.epoch=3`.
//
// Only in pages of the book: the address of a notebook belongs to the notebook.

export function addressOf(name, isPage) {
  const given = isPage ? new URLSearchParams(location.search) : new URLSearchParams();
  const key = (field) => `${name}.${field}`;
  return {
    text: (field, otherwise) => given.get(key(field)) ?? otherwise,
    number: (field, otherwise) => {
      const value = Number.parseFloat(given.get(key(field)));
      return Number.isFinite(value) ? value : otherwise;
    },
    numbers: (field, otherwise) => {
      const values = (given.get(key(field)) ?? "").split(",").map(Number.parseFloat);
      return values.length === otherwise.length && values.every(Number.isFinite) ? values : otherwise;
    },
    keep: later((fields) => {
      if (!isPage) return;
      const query = new URLSearchParams(location.search);
      for (const [field, value] of Object.entries(fields)) query.set(key(field), value);
      try {
        history.replaceState(history.state, "", `?${query}${location.hash}`);
      } catch {
        // some browsers forbid this for files; the figure works without it
      }
    }),
  };
}

/** Delays `action` until calls pause: browsers limit how often the address may change. */
function later(action) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...given), 200);
  };
}
