// Quizzes: show the Check button and, when it is pressed, the explanation of the chosen option.
for (const form of document.querySelectorAll("form.quiz")) {
  const status = form.querySelector("[role=status]");
  const explanations = form.querySelectorAll("template");
  form.querySelector("button").hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = form.querySelector("input:checked");
    if (!chosen) {
      status.textContent = "Choose an answer first.";
      return;
    }
    const explanation = explanations[chosen.value];
    status.dataset.right = explanation.dataset.right;
    status.replaceChildren(explanation.content.cloneNode(true));
  });
  form.addEventListener("change", () => {
    status.replaceChildren();
    delete status.dataset.right;
  });
}
