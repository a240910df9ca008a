// A page prints in the light theme, dark on white, whatever the screen shows, and with all that is folded open.
{
  const { dataset } = document.documentElement;
  let onScreen = null; // the theme to return to after printing
  let opened = []; // what to fold again
  const begin = () => {
    onScreen ??= dataset.theme;
    dataset.theme = "light";
    for (const fold of document.querySelectorAll("article details:not([open])")) {
      fold.open = true;
      opened.push(fold);
    }
  };
  const end = () => {
    if (onScreen) dataset.theme = onScreen;
    onScreen = null;
    for (const fold of opened) fold.open = false;
    opened = [];
  };
  addEventListener("beforeprint", begin);
  addEventListener("afterprint", end);
  matchMedia("print").addEventListener("change", ({ matches }) => (matches ? begin() : end())); // for browsers without these events
}
