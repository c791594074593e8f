// On a narrow screen custom.css shows each row of a table as a list; this gives its cells their headings.
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll(".bd-article table")) {
    const headings = [...table.querySelectorAll("thead tr:last-child th")];
    if (headings.length < 3) continue;
    table.classList.add("stacked");
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.children].forEach((cell, n) => {
        cell.dataset.heading = headings[n] ? headings[n].innerText : "";
      });
    }
  }
});
