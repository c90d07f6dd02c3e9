/* The reader's own choice of light or dark, also when it changes. */
const dark = matchMedia("(prefers-color-scheme: dark)");
const choose = () => {
  document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
};
dark.addEventListener("change", choose);
choose();
