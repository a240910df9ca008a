// A page prints in the light theme, dark on white, whatever the screen shows.
{
  const { dataset } = document.documentElement;
  let onScreen = null; // the theme to return to after printing
  const begin = () => {
    onScreen ??= dataset.theme;
    dataset.theme = "light";
  };
  const end = () => {
    if (onScreen) dataset.theme = onScreen;
    onScreen = null;
  };
  addEventListener("beforeprint", begin);
  addEventListener("afterprint", end);
  matchMedia("print").addEventListener("change", ({ matches }) => (matches ? begin() : end())); // for browsers without these events
}
