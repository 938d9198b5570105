"use strict";

/* A table that is long shows the rows that matter; its headings sort it, its field filters it. */
for (const figure of document.querySelectorAll("figure.table")) {
  const body = figure.querySelector("tbody");
  const rows = [...body.rows];
  const field = figure.querySelector("input");
  const all = figure.querySelector("button.all");
  const count = figure.querySelector("output");
  const headings = [...figure.querySelectorAll("thead th")];
  let open = !all;
  let sorted = false;

  const show = () => {
    const words = field ? field.value.toLowerCase().split(/\s+/).filter(Boolean) : [];
    let shown = 0;
    [...body.rows].forEach((row, place) => {
      const text = row.textContent.toLowerCase();
      const kept = words.length
        ? words.every((word) => text.includes(word))
        : open || (sorted ? place < leading : row.dataset.leads === "1");
      row.hidden = !kept;
      shown += kept;
    });
    if (all) {
      all.hidden = words.length > 0;
      all.textContent = open ? "Show fewer rows" : `Show all ${rows.length} rows`;
      all.setAttribute("aria-expanded", String(open));
    }
    if (count) count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  };
  const leading = rows.filter((row) => row.dataset.leads === "1").length;

  if (all) {
    all.hidden = false;
    all.addEventListener("click", () => { open = !open; show(); });
  }
  if (field) {
    figure.querySelector(".tools").hidden = false;
    field.addEventListener("input", show);
  }
  /* 85.3 % [81.2–88.6] counts as 85.3; thousands have commas; what has no number comes last. */
  const value = (row, column) => {
    const text = row.cells[column].textContent.trim();
    const number = /^[≥≤]?\s*([-−]?[\d,]*\.?\d+(e[-+]?\d+)?)/i.exec(text);
    return { text, number: number ? Number(number[1].replace(/,/g, "").replace("−", "-")) : NaN };
  };
  headings.forEach((heading, column) => {
    if (!heading.textContent) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    const values = new Map(rows.map((row) => [row, value(row, column)]));
    /* Names may be numbers, and numbers may be missing: the many decide. */
    const counted = [...values.values()].filter((one) => !isNaN(one.number)).length > rows.length / 2;
    button.addEventListener("click", () => {
      const before = heading.getAttribute("aria-sort");
      const up = before ? before === "descending" : !counted;
      headings.forEach((one) => one.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      sorted = true;
      const order = (one, other) => {
        const [a, b] = [values.get(one), values.get(other)];
        if (counted && isNaN(a.number) !== isNaN(b.number)) return isNaN(a.number) ? 1 : -1;
        const apart = counted && a.number !== b.number && !isNaN(a.number);
        return (up ? 1 : -1) * (apart ? a.number - b.number : a.text.localeCompare(b.text, "en"));
      };
      body.append(...[...rows].sort(order));
      show();
    });
  });
  show();
}

/* Where a link leads into something folded, it opens. */
const reveal = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let part = target; part; part = part.parentElement) {
    if (part.tagName === "DETAILS") part.open = true;
  }
  target.scrollIntoView();
};
addEventListener("hashchange", reveal);
reveal();

/* On paper nothing is folded but what was made for machines. */
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details.part:not([open])")];
  folded.forEach((part) => { part.open = true; });
});
addEventListener("afterprint", () => folded.forEach((part) => { part.open = false; }));
