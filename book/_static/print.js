/* Paper is white and has no folds: a page is printed in the light theme, with
   its folded parts open, and is as it was when the printing is over. */
(() => {
  let theme, folded;
  addEventListener("beforeprint", () => {
    theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    folded = [...document.querySelectorAll("article details:not([open])")];
    folded.forEach((fold) => { fold.open = true; });
  });
  addEventListener("afterprint", () => {
    document.documentElement.dataset.theme = theme;
    folded.forEach((fold) => { fold.open = false; });
  });
})();
