// Inside Airflow, follow its light or dark theme; alone, the style sheet follows the system's.
"use strict";

function followAirflow() {
  let outside = null;
  try {
    outside = window.parent === window ? null : window.parent.document.documentElement;
  } catch {
    return; // Framed by another site, which can't be read.
  }
  if (!outside) return;
  const show = () => {
    document.documentElement.dataset.theme = outside.classList.contains("dark") ? "dark" : "light";
  };
  show();
  new MutationObserver(show).observe(outside, { attributes: true, attributeFilter: ["class"] });
}

followAirflow();
