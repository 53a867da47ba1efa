"use strict";
// Draws the figures that the page describes; without this script their pictures stay.
const charts = [];
if (window.Plotly) {
  document.documentElement.classList.add("live");
  for (const island of document.querySelectorAll("script[data-figure]")) {
    const figure = JSON.parse(island.textContent), place = document.getElementById(island.dataset.figure);
    Plotly.newPlot(place, figure.data, figure.layout, {
      responsive: true,
      displaylogo: false,
      displayModeBar: "hover",
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    });
    charts.push(place);
  }
}

// A student's box shows and hides it in every figure.
for (const box of document.querySelectorAll("input[data-key]")) {
  box.addEventListener("change", () => {
    for (const chart of charts) {
      const traces = chart.data.flatMap((trace, i) => (trace.meta && trace.meta.key === box.dataset.key ? [i] : []));
      if (traces.length) Plotly.restyle(chart, {visible: box.checked}, traces);
    }
  });
}

// All boxes of the students at once.
for (const button of document.querySelectorAll("button[data-all]")) {
  button.addEventListener("click", () => {
    for (const box of document.querySelectorAll("input[data-key]")) {
      if (box.checked !== (button.dataset.all === "on")) box.click();
    }
  });
}

// A click on a column's title sorts by it, a second one the other way round; what has no number stays last.
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("th").forEach((title, column) => {
    const sort = () => {
      const falls = title.getAttribute("aria-sort") !== "descending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      title.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const value = (row) => {
        const cell = row.cells[column];
        return column === 0 ? cell.textContent.trim() : cell.dataset.number === "" ? null : Number(cell.dataset.number);
      };
      const body = table.tBodies[0];
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        return (column === 0 ? -x.localeCompare(y, "en", {numeric: true}) : x - y) * (falls ? -1 : 1);
      });
      body.append(...rows);
    };
    title.addEventListener("click", sort);
    title.addEventListener("keydown", (event) => {
      if (event.key === "Enter") sort();
    });
  });
}
