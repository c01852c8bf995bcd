"use strict";
// The page works without this script, which copies links, confirms removals, and formats dates for the locale of the user.

for (const time of document.querySelectorAll("time")) {
  time.textContent = new Date(time.dateTime).toLocaleDateString(undefined, { dateStyle: "medium" });
}

for (const row of document.querySelectorAll("li")) {
  const link = row.querySelector(".short"), copy = row.querySelector(".copy");
  link.textContent = link.host + link.pathname;
  // Browsers allow it only on https and on the local machine.
  copy.hidden = !navigator.clipboard;
  copy.onclick = async () => {
    await navigator.clipboard.writeText(link.href);
    copy.textContent = "Copied";
  };
  row.querySelector("form").onsubmit = () => confirm(`Delete ${link.href}? It will lead nowhere.`);
}
