"use strict";
/* KFP shows this page in a frame without an address of its own (srcdoc). A link such as #search would load KFP's address */
/* there and leave the frame blank, so links within the page scroll instead of navigating. */
const show = (id) => document.getElementById(id)?.scrollIntoView();

const save = (name, type, text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
};

/* The copy carries the page's style sheet and fill patterns, so that it looks the same on its own. */
const svgText = (figure) => {
  const svg = figure.querySelector("svg.plot").cloneNode(true);
  const style = document.createElementNS(svg.namespaceURI, "style");
  style.textContent = document.querySelector("style").textContent;
  svg.prepend(style, document.querySelector(".fills defs").cloneNode(true));
  return new XMLSerializer().serializeToString(svg);
};

const csvText = (table) =>
  [...table.rows].map((row) => [...row.cells].map((cell) => `"${cell.innerText.trim().replaceAll('"', '""')}"`).join(",")).join("\r\n");

const addButton = (place, text, act) => {
  const button = document.createElement("button");
  button.textContent = text;
  button.addEventListener("click", act);
  place.append(button);
};

const addDownloads = (figure) => {
  const place = document.createElement("div");
  const name = figure.querySelector("h3").textContent.trim().replace(/[^\w.+-]+/g, "-").slice(0, 60);
  const table = figure.querySelector("table");
  place.className = "downloads";
  addButton(place, "SVG", () => save(`${name}.svg`, "image/svg+xml", svgText(figure)));
  if (table) addButton(place, "CSV", () => save(`${name}.csv`, "text/csv", csvText(table)));
  figure.append(place);
};

document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  const picture = event.target.closest(".panels svg");
  if (link) {
    event.preventDefault();
    show(link.getAttribute("href").slice(1));
  } else if (picture) {
    picture.classList.toggle("large");
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") document.querySelectorAll("svg.large").forEach((picture) => picture.classList.remove("large"));
});
/* A sandboxed frame (origin "null") may not save files: `detkds pull` brings the page itself, where the buttons appear. */
if (window.origin !== "null" || location.protocol === "file:") {
  document.querySelectorAll("figure.panel:has(svg.plot)").forEach(addDownloads);
}
