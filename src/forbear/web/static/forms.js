// A choice takes effect at once; without scripts, the button of the form does it.
for (const form of document.querySelectorAll("form[data-auto]")) {
  form.addEventListener("change", () => form.requestSubmit());
}
