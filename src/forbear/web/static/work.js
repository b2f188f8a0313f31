// After more lines have come, the keyboard goes on at the first of them.
"use strict";

document.addEventListener("htmx:after:swap", () => {
  const first = [...document.querySelectorAll("#lines [data-first]")].at(-1);
  if (first) first.focus();
});
