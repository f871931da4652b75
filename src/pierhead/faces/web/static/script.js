// Polish only: every page does the same without this file, but for the copy buttons.
"use strict";
(() => {
  const live = document.getElementById("live");

  async function copy(button, text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      return; // no leave, or no TLS: the text is there to be marked by hand
    }
    const before = button.textContent;
    button.textContent = "Copied";
    if (live) live.textContent = `Copied: ${text}`;
    setTimeout(() => { button.textContent = before; }, 2000);
  }

  if (navigator.clipboard) {
    for (const box of document.querySelectorAll("[data-copy]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "small";
      button.textContent = "Copy";
      button.addEventListener("click", () => copy(button, box.querySelector("pre, code").textContent));
      box.append(button);
    }
  }

  // A password is looked at by its owner, and by nobody who comes by later.
  for (const box of document.querySelectorAll("[data-reveal]")) {
    const field = box.querySelector("input");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "small";
    button.textContent = "Show";
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      const shown = field.type === "text";
      field.type = shown ? "password" : "text";
      button.textContent = shown ? "Show" : "Hide";
      button.setAttribute("aria-pressed", String(!shown));
      field.focus();
    });
    box.append(button);
  }
})();
