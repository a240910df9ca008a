// The state of a figure in the page's address, so that it can be linked to: `?name.margin=1.5&name.epoch=3`.
//
// Only in pages of the book: the address of a notebook belongs to the notebook. A value that the figure's controls do not
// offer is ignored.

export function addressOf(name, isPage) {
  const given = isPage ? new URLSearchParams(location.search) : new URLSearchParams();
  const key = (field) => `${name}.${field}`;
  return {
    /** The text of a field, if it is among those `offered`. */
    choice: (field, otherwise, offered) => {
      const text = given.get(key(field));
      return offered.includes(text) ? text : otherwise;
    },
    /** The number of a field, if it lies in the range [least, most]. */
    number: (field, otherwise, range) => numberIn(given.get(key(field)), range) ?? otherwise,
    /** The numbers of a field, separated by `by`, if each lies in the range at its place, or in the last range. */
    numbers: (field, otherwise, ranges, by = ",") => {
      const texts = (given.get(key(field)) ?? "").split(by);
      const values = texts.map((text, place) => numberIn(text, ranges[Math.min(place, ranges.length - 1)]));
      return values.length === (otherwise.length || values.length) && !values.includes(null) ? values : otherwise;
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

function numberIn(text, [least, most]) {
  const value = text?.trim() ? Number(text) : Number.NaN;
  return least <= value && value <= most ? value : null; // neither holds for NaN
}

/** Delays `action` until calls pause: browsers limit how often the address may change. */
function later(action) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...given), 200);
  };
}
