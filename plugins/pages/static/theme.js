// As light or dark as Airflow around us; alone, as the system is, which the style sheet sees to.
"use strict";

function followAirflow() {
  let outside = null;
  try {
    outside = window.parent === window ? null : window.parent.document.documentElement;
  } catch {
    return; // Framed by something that is not ours to read.
  }
  if (!outside) return;
  const show = () => {
    document.documentElement.dataset.theme = outside.classList.contains("dark") ? "dark" : "light";
  };
  show();
  new MutationObserver(show).observe(outside, { attributes: true, attributeFilter: ["class"] });
}

followAirflow();
