// What the pages of the site do beside Sphinx's own: explorers that load when they come into view, and predictions.

import { renderStill } from "./predict.js"; // headlab's own

/** Load each explorer's module and numbers shortly before a reader scrolls to it. */
function loadExplorers() {
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter((entry) => entry.isIntersecting)) {
        observer.unobserve(entry.target);
        loadExplorer(entry.target);
      }
    },
    { rootMargin: "300px" },
  );
  for (const place of document.querySelectorAll("[data-explorer]")) observer.observe(place);
}

async function loadExplorer(place) {
  try {
    const [explorer, answer] = await Promise.all([
      import(new URL(place.dataset.module, import.meta.url)),
      fetch(new URL(place.dataset.explorer, import.meta.url)),
    ]);
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    const state = await answer.json();
    place.replaceChildren();
    explorer.renderStill(state, place);
  } catch (error) {
    const line = document.createElement("p");
    line.textContent = `This explorer could not be loaded (${error.message}); its picture stays.`;
    place.append(line);
  }
}

/** Each prediction compares what a reader chooses with what was measured, further down on the page. */
function answerPredictions() {
  for (const form of document.querySelectorAll(".cell_output fieldset")) {
    const question = form.querySelector("legend").textContent.replace(/^Predict\. /, "");
    renderStill(form, question.replace(/\s+/g, " ").trim());
  }
}

loadExplorers();
answerPredictions();
