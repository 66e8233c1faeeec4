/** A prediction in the page: the form comes from Python; what the reader chooses goes back, where there is a kernel. */
function render({ model, el }) {
  el.innerHTML = model.get("form");
  const status = el.querySelector("output");
  status.textContent = "Answer, then run the next cell.";
  const group = `predict-${Math.random()}`; // a group of its own for each display
  for (const input of inputs(el)) {
    if (input.type === "radio") {
      input.name = group;
      input.checked = input.value === model.get("answer");
    } else {
      input.value = model.get("answer");
    }
    input.addEventListener("input", () => {
      model.set("answer", input.value);
      model.save_changes();
      status.textContent = "Noted. Run the next cell.";
    });
  }
}

/** Without a kernel: compare what the reader chooses with what the reveal printed into the saved page. */
function renderStill(form, question) {
  const status = form.querySelector("output");
  status.style.whiteSpace = "pre-line";
  status.textContent = "Answer, and the page says what was measured.";
  for (const input of inputs(form)) {
    const compare = input.type === "radio" ? compareChoice : compareNumber;
    input.addEventListener("change", () => {
      const lines = printed(question);
      status.textContent = lines.length ? compare(lines, input.value) : "The cells below have not been run.";
    });
  }
}

function inputs(form) {
  const all = [...form.querySelectorAll("input")];
  // JupyterLab takes the arrow keys for itself unless the element that has the focus says otherwise.
  for (const input of all) input.dataset.lmSuppressShortcuts = "true";
  return all;
}

/** What the reveal of a question says in this page, line by line; none where its cell was not run. */
function printed(question) {
  for (const output of document.querySelectorAll("pre")) {
    for (const reveal of output.textContent.split(/^Prediction: /m).slice(1)) {
      // A long line goes on in the next one, indented.
      const [asked, ...lines] = reveal.split(/\n(?! )/).map((line) => line.replace(/\s+/g, " ").trim());
      if (asked === question) return lines.filter((line) => /^(✓|✗|None of the choices)/.test(line));
    }
  }
  return [];
}

/** Of these lines the one about the reader's choice, and the one that says what holds. */
function compareChoice(lines, choice) {
  const rest = (line) => line.slice(2 + choice.length); // behind the sign and the choice
  const own = lines.filter((line) => line.startsWith(choice, 2) && /^( \(your choice\))?(:|$)/.test(rest(line)));
  return [...new Set([...own, lines[0]])].join("\n");
}

/** How far the reader's number lies from the measured one, what it overlooks, and why it is what it is. */
function compareNumber(lines, text) {
  const numberOf = (line) => parseFloat(line.slice(2));
  const own = parseFloat(text);
  if (Number.isNaN(own)) return "Answer, and the page says what was measured.";
  const off = own - numberOf(lines[0]);
  const size = Number(Math.abs(off).toPrecision(3));
  const how = off === 0 ? "is the measured one" : `lies ${size} ${off > 0 ? "above" : "below"} the measured one`;
  const overlooks = lines.filter((line) => line.startsWith("✗") && numberOf(line) === own);
  return [`Your number ${how}.`, ...overlooks, lines[0]].join("\n");
}

export { renderStill };
export default { render };
