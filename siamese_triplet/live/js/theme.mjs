// Colours, markers and styles, light and dark. Classes have the colours and markers of the package's plots.

const LIGHT = ["#332288", "#88CCEE", "#117733", "#DDCC77", "#CC6677", "#AA4499", "#44AA99", "#999933", "#882255", "#777777"];
const DARK = ["#9A8CFF", "#88CCEE", "#3DB368", "#DDCC77", "#E07A8B", "#D277C2", "#44AA99", "#B5B54A", "#D65C95", "#A5A5A5"];

/** Whether the page is dark, by the theme of the book or of JupyterLab, else by that of the system. */
function isDark() {
  const theme = document.documentElement.dataset.theme;
  if (theme === "dark" || theme === "light") return theme === "dark";
  const lab = document.body.dataset.jpThemeLight;
  return lab === undefined ? matchMedia("(prefers-color-scheme: dark)").matches : lab === "false";
}

/** Keeps `host.dataset.theme` in step with the page, and calls `onChange` on every change. */
export function followTheme(host, onChange) {
  const follow = () => {
    const theme = isDark() ? "dark" : "light";
    if (host.dataset.theme === theme) return;
    host.dataset.theme = theme;
    onChange();
  };
  const observer = new MutationObserver(follow);
  observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  observer.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", follow);
  follow();
}

export function prefersStillness() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

export function classColour(host, label) {
  return (host.dataset.theme === "dark" ? DARK : LIGHT)[label % 10];
}

export function ink(host, name) {
  return getComputedStyle(host).getPropertyValue(`--${name}`).trim();
}

const POLYGONS = [
  null, // a disc
  [[-0.85, -0.85], [0.85, -0.85], [0.85, 0.85], [-0.85, 0.85]],
  [[0, -1.1], [1, 0.8], [-1, 0.8]],
  [[0, -1.15], [1.15, 0], [0, 1.15], [-1.15, 0]],
  [[0, 1.1], [1, -0.8], [-1, -0.8]],
  [[-0.4, -1.1], [0.4, -1.1], [0.4, -0.4], [1.1, -0.4], [1.1, 0.4], [0.4, 0.4], [0.4, 1.1], [-0.4, 1.1], [-0.4, 0.4], [-1.1, 0.4], [-1.1, -0.4], [-0.4, -0.4]],
  [[-0.55, -1.1], [0, -0.55], [0.55, -1.1], [1.1, -0.55], [0.55, 0], [1.1, 0.55], [0.55, 1.1], [0, 0.55], [-0.55, 1.1], [-1.1, 0.55], [-0.55, 0], [-1.1, -0.55]],
  [[-1.1, 0], [0.8, -1], [0.8, 1]],
  [[1.1, 0], [-0.8, -1], [-0.8, 1]],
  [[0, -1.3], [0.32, -0.42], [1.24, -0.4], [0.5, 0.16], [0.76, 1.05], [0, 0.52], [-0.76, 1.05], [-0.5, 0.16], [-1.24, -0.4], [-0.32, -0.42]],
];

/** The number of a class's marker: with its colour a pair of its own up to the class 99, as in the package's plots. */
export function markerNumber(label) {
  return (label + Math.floor(label / 10)) % 10;
}

/** Traces the outline of the marker of a class on a canvas. */
export function traceMarker(path, label, x, y, size) {
  const corners = POLYGONS[markerNumber(label)];
  path.beginPath();
  if (corners) for (const [dx, dy] of corners) path.lineTo(x + dx * size, y + dy * size);
  else path.arc(x, y, size, 0, 2 * Math.PI);
  path.closePath();
}

export const STYLES = `
:host { display: block; margin: 1.2rem 0; color-scheme: light;
  --text: #1f2430; --quiet: #585e6b; --surface: #ffffff; --line: #c5c9d1; --accent: #332288; --on-accent: #ffffff;
  --anchor: #1f2430; --positive: #2f5fc4; --negative: #b8354a; --hard: #cc6677; --semi: #ddcc77; --easy: #88ccee;
  --right: #117733; font: 15px/1.45 system-ui, sans-serif; color: var(--text); }
:host([data-theme="dark"]) { color-scheme: dark;
  --text: #e8eaf0; --quiet: #b3b9c6; --surface: #161a22; --line: #454c5a; --accent: #a99dff; --on-accent: #161a22;
  --anchor: #ffffff; --positive: #86aefc; --negative: #ff8c9c; --hard: #a04352; --semi: #8a7d35; --easy: #2c6483;
  --right: #5fcf8c; }
* { box-sizing: border-box; } [hidden] { display: none !important; }
.figure { position: relative; border: 1px solid var(--line); border-radius: 8px; background: var(--surface); padding: 0.8rem; }
.title { font-weight: 600; margin: 0 0 0.5rem; }
.controls { display: flex; flex-wrap: wrap; gap: 0.5rem 1.2rem; align-items: center; margin-bottom: 0.6rem; }
.control { display: inline-flex; flex-wrap: wrap; align-items: center; gap: 0.5rem; max-width: 100%; }
.control input[type="range"] { width: 9rem; min-width: 5rem; accent-color: var(--accent); }
.control .value { min-width: 3.2em; font-variant-numeric: tabular-nums; }
select, button { font: inherit; color: var(--text); background: var(--surface); border: 1px solid var(--quiet);
  border-radius: 5px; padding: 0.25rem 0.6rem; min-height: 2rem; max-width: 100%; }
button { cursor: pointer; }
button[aria-pressed="true"], button.main { background: var(--accent); color: var(--on-accent); border-color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.plane { position: relative; touch-action: pan-y; }
svg, canvas { display: block; width: 100%; }
canvas { border: 1px solid var(--line); border-radius: 4px; }
.point { cursor: grab; touch-action: none; }
.readout { display: flex; flex-wrap: wrap; gap: 0.3rem 1.4rem; margin: 0.6rem 0 0.2rem; }
.readout div { display: flex; gap: 0.45rem; }
.readout dt { color: var(--quiet); }
.readout dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
.says { margin: 0.3rem 0 0; min-height: 1.45em; }
.hint { margin: 0.3rem 0 0; color: var(--quiet); font-size: 0.88em; }
.sides { display: grid; grid-template-columns: minmax(0, 1fr) 13rem; gap: 0.9rem; }
.classes { display: flex; flex-wrap: wrap; gap: 0.15rem 0.8rem; margin: 0.5rem 0 0; padding: 0; border: 0; }
.classes legend { color: var(--quiet); padding: 0; }
.classes :is(label, span) { display: inline-flex; align-items: center; gap: 0.3rem; min-height: 1.6rem; }
.classes.many { max-height: 14rem; overflow-y: auto; }
.classes canvas { width: 16px; height: 16px; border: 0; }
.thumbs { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 0.3rem; margin: 0.4rem 0 0; padding: 0; list-style: none; font-size: 0.78em; }
.thumbs li { text-align: center; overflow-wrap: anywhere; line-height: 1.2; }
.thumbs canvas, .shown canvas { image-rendering: pixelated; background: #fff; }
.shown { display: flex; gap: 0.6rem; align-items: center; min-height: 66px; }
.shown canvas { width: 64px; height: 64px; flex: none; }
.shown p { margin: 0; }
input[type="search"] { font: inherit; width: 11em; min-height: 2rem; color: var(--text); background: var(--surface); border: 1px solid var(--quiet); border-radius: 5px; padding: 0.25rem 0.5rem; }
.picker { display: grid; grid-template-columns: repeat(auto-fill, 42px); gap: 2px; justify-content: space-between; position: relative; max-height: 134px; overflow-y: auto; margin: 0 0 0.7rem; padding: 4px; border: 1px solid var(--line); border-radius: 6px; list-style: none; }
.picker li { padding: 3px; border: 2px solid transparent; border-radius: 6px; cursor: pointer; } .picker li:hover { border-color: var(--quiet); }
.picker [aria-selected="true"] { border-color: var(--accent); background: var(--accent); } .picker :focus-visible { outline-offset: -2px; }
:is(.picker, .alike, .hit) canvas { background: #fff; } .query canvas { width: 96px; height: auto; image-rendering: auto; }
.query { flex-wrap: wrap; gap: 0.9rem; } .query p { flex: 1 1 8rem; overflow-wrap: anywhere; } .query strong { font-size: 1.15em; }
.alike { display: flex; flex-wrap: wrap; gap: 3px; flex: 2 1 18rem; max-height: 96px; overflow-y: auto; padding: 3px; } .alike button { padding: 2px; min-height: 0; } .alike canvas { width: 36px; border: 0; }
.found { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline; margin: 0.8rem 0 0; } .found .hint { margin: 0; }
.results { grid-template-columns: repeat(auto-fit, minmax(4.4rem, 1fr)); align-items: start; }
.hit { width: 100%; border: 0; padding: 2px; background: none; font-size: inherit; line-height: 1.2; overflow-wrap: anywhere; } .hit[aria-disabled="true"] { cursor: default; }
.results .hit canvas { width: 64px; max-width: 100%; margin: 0 auto 3px; image-rendering: auto; padding: 2px; } .hit.right canvas { border-color: var(--right); outline: 2px solid var(--right); }
.curves { display: flex; flex-wrap: wrap; gap: 0.8rem 1.6rem; margin-top: 0.7rem; }
.curves figure { margin: 0; width: 15rem; } .curves figcaption { color: var(--quiet); font-size: 0.88em; margin-bottom: 0.9em; }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0.8rem; margin-bottom: 0.6rem; }
.run { border: 1px solid var(--line); border-radius: 6px; margin: 0; padding: 0.3rem 0.6rem 0.6rem; min-width: 0; }
.run .curves figure { width: 100%; max-width: 21rem; } .run legend { font-weight: 600; padding: 0 0.4rem; } .run .controls { gap: 0.3rem 0.9rem; } .run .control { gap: 0.3rem; }
.axis { fill: none; stroke: var(--quiet); } .curve { fill: none; stroke: var(--accent); stroke-width: 2; }
.curve.second { stroke: var(--negative); stroke-dasharray: 5 3; } .curves text { fill: var(--quiet); font-size: 11px; } .curves .end { text-anchor: end; }
.board:not(.two) { display: grid; grid-template-columns: minmax(0, 1fr) 13rem; gap: 0.9rem; }
.board .curves figure { width: 13rem; flex: 1 1 11rem; max-width: 18rem; }
.two .runs { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0.9rem; }
.panel .name { margin: 0.2rem 0; font-weight: 600; } .two .panel:first-child .name { color: var(--accent); } .two .panel:last-child .name { color: var(--negative); }
input[type="number"] { font: inherit; width: 4.5em; min-height: 2rem; color: var(--text); background: var(--surface); border: 1px solid var(--quiet); border-radius: 5px; padding: 0.25rem 0.4rem; }
.draw { margin-top: 0.7rem; } .more { margin-bottom: 0.6rem; } .more .controls { margin-top: 0.4rem; } :is(.draw, .more) summary { cursor: pointer; font-weight: 600; min-height: 1.8rem; }
.drawing { display: flex; flex-wrap: wrap; gap: 0.9rem; margin-top: 0.4rem; } .drawing > div:last-child { flex: 1 1 15rem; } .drawing > div:first-child { max-width: 17rem; }
.drawing .thumbs { grid-template-columns: repeat(4, minmax(0, 5rem)); } .pad { width: 14rem; height: 14rem; touch-action: none; cursor: crosshair; background: #fff; }
.seen { background: #fff; }
.bars { display: grid; gap: 0.15rem; margin: 0.5rem 0 0; }
.bars div { display: grid; grid-template-columns: 6.5em minmax(0, 1fr) 5em; gap: 0.5rem; align-items: center; font-size: 0.88em; }
.bars i { display: block; height: 0.75em; background: var(--negative); border-radius: 2px; }
.bars b { font-weight: 400; text-align: right; font-variant-numeric: tabular-nums; }
.bars [aria-current] { font-weight: 700; } .bars [aria-current] b { font-weight: 700; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.2rem, 1fr)); gap: 0.4rem; margin-top: 0.4rem; }
.tile { display: grid; align-content: space-between; gap: 0.2rem; padding: 0.3rem; border-color: var(--line); font-size: 0.82em; line-height: 1.2; text-align: left; }
button.tile[aria-pressed="true"] { background: var(--surface); color: var(--text); border-color: var(--accent); box-shadow: 0 0 0 2px var(--accent); font-weight: 600; }
.tile .pull { fill: var(--positive); } .tile .push { fill: var(--negative); } .tile text { fill: var(--quiet); font-size: 9.5px; font-weight: 400; }
.choices { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; margin: 0.4rem 0; }
.right { color: var(--right); font-weight: 600; } .wrong { color: var(--negative); font-weight: 600; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.print { display: none; }
@media (max-width: 640px) { .sides, .pair, .two .runs, .board:not(.two) { grid-template-columns: minmax(0, 1fr); } .figure { padding: 0.5rem; } .tiles { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
@media print { :host { color: #1f2430; } .figure { display: none; } .print { display: block; } }
`;
