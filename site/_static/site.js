// What the pages of the site do beside Sphinx's own: explorers that load when they come into view, and predictions.

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

/** To a choice say what the lesson found: the line of the measured output, further down, that tells of this choice. */
function answerPredictions() {
  for (const form of document.querySelectorAll(".cell_output fieldset")) {
    const status = form.querySelector("output");
    const verdict = verdictBelow(form);
    if (!status || !verdict) continue;
    status.textContent = "Choose, then read on: what was measured is folded below.";
    form.addEventListener("change", (event) => {
      status.textContent = lineAbout(verdict, event.target.value) ?? "Noted. Open the output below.";
    });
  }
}

/** The lines of the first verdict after a form: one for each choice. */
function verdictBelow(form) {
  const outputs = [...document.querySelectorAll(".cell_output pre")];
  const question = form.querySelector("legend").textContent.replace(/^Predict\. /, "");
  const words = (text) => text.replace(/\s+/g, " ").trim();
  const found = outputs.find((output) => words(output.textContent).includes(`Prediction: ${words(question)}`));
  return found && words(found.textContent).split(/ (?=[✓✗] )/).slice(1);
}

function lineAbout(verdict, choice) {
  const number = Number(choice);
  const same = (text) => text === choice || (choice !== "" && Number.parseFloat(text) === number);
  return verdict.find((line) => same(line.slice(2).split(": ")[0]) || line.slice(2).startsWith(`${choice}: `));
}

loadExplorers();
answerPredictions();
