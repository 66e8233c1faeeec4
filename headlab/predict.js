/** A prediction in the page: the form comes from Python; what the reader chooses goes back. */
function render({ model, el }) {
  el.innerHTML = model.get("form");
  const status = el.querySelector("output");
  status.textContent = "Choose, then run the next cell.";
  const group = `predict-${Math.random()}`; // a group of its own for each display
  for (const input of el.querySelectorAll("input")) {
    // JupyterLab takes the arrow keys for itself unless the element that has the focus says otherwise.
    input.dataset.lmSuppressShortcuts = "true";
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

export default { render };
