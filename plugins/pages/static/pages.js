// What pages do beyond links: choose a class, start a run, look closer, make a version current.
export const { airflow, base, indexDag, queryDag } = document.body.dataset;
export const OURS = { "X-Requested-With": "lookalike" };
const say = document.querySelector("[data-say]");

export function tell(text, wrong = false) {
  say.textContent = text;
  say.classList.toggle("wrong", wrong);
  say.hidden = !text;
}

export async function send(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error("Airflow can't be reached: check that it still runs, and try again.");
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  if (answer.status === 401) {
    top.location.href = `${airflow}/api/v2/auth/login?next=${encodeURIComponent(top.location.href)}`;
    throw new Error("You are no longer logged in: log in again.");
  }
  const problem = new Error(typeof body.detail === "string" ? body.detail : `Airflow refused (${answer.status}).`);
  problem.status = answer.status;
  throw problem;
}

// Trigger a DAG as the logged-in user, through Airflow's own API, and open the page of its run.
async function trigger(dag, conf) {
  tell("Starting the run …");
  const run = await send(`${airflow}/api/v2/dags/${dag}/dagRuns`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ logical_date: null, conf }),
  });
  location.href = runPage(dag, run.dag_run_id);
}

export function ask(query, more = {}) {
  return trigger(queryDag, { query, ...more });
}

export function runPage(dag, run) {
  return `${base}/runs/${encodeURIComponent(run)}?dag_id=${encodeURIComponent(dag)}`;
}

export function element(kind, style = "", text = "") {
  const made = document.createElement(kind);
  if (style) made.className = style;
  made.textContent = text;
  return made;
}

export async function guarded(work) {
  document.body.classList.add("busy");
  try {
    await work();
  } catch (error) {
    tell(error.message, true);
  } finally {
    document.body.classList.remove("busy");
  }
}

// The browser's tab tells what is looked at, inside Airflow as well.
try {
  top.document.title = document.title;
} catch {
  // Framed by another site, whose title is its own.
}

// A choice is made by the mouse at once, by the keyboard when it is left or Enter is pressed: the arrow
// keys go through what can be chosen.
for (const choice of document.querySelectorAll("[data-submits]")) {
  const before = choice.value;
  let byKey = false;
  const submit = () => choice.form.submit();
  choice.addEventListener("keydown", (event) => {
    byKey = event.key !== "Enter";
    if (!byKey && choice.value !== before) submit();
  });
  choice.addEventListener("pointerdown", () => (byKey = false));
  choice.addEventListener("change", () => (byKey && choice.type !== "checkbox") || submit());
  choice.addEventListener("blur", () => byKey && choice.value !== before && submit());
}

// Arrow keys go from picture to picture.
document.addEventListener("keydown", (event) => {
  const here = document.activeElement?.closest(".tiles li");
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -inRow(here), ArrowDown: inRow(here) };
  if (!here || !steps[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
  const all = [...here.parentElement.children];
  const next = all[all.indexOf(here) + steps[event.key]];
  if (!next) return;
  event.preventDefault();
  next.querySelector("a").focus();
});

function inRow(item) {
  return item ? getComputedStyle(item.parentElement).gridTemplateColumns.split(" ").length : 0;
}

// The original, over the page; without JavaScript the link leads to it.
const zoom = document.querySelector("[data-zoom]");
const original = document.querySelector("[data-original]");
if (zoom && original) {
  const closer = zoom.querySelector("img");
  closer.addEventListener("load", () => zoom.classList.remove("loading"));
  zoom.querySelector("[data-close]").addEventListener("click", () => zoom.close());
  zoom.addEventListener("click", (event) => event.target === zoom && zoom.close());
  original.addEventListener("click", (event) => {
    event.preventDefault();
    closer.src = original.href;
    zoom.showModal();
  });
  // In its own proportions, once it is there.
  const shown = original.querySelector("img");
  const whole = new Image();
  whole.addEventListener("load", () => {
    shown.src = whole.src;
    shown.classList.add("own");
    const pixels = document.querySelector("[data-pixels]");
    if (pixels) pixels.textContent = `${whole.naturalWidth} × ${whole.naturalHeight} pixels, `;
  });
  whole.src = original.href;
}

for (const button of document.querySelectorAll("[data-build]"))
  button.addEventListener("click", () => guarded(() => trigger(indexDag, { source: "sample" })));

for (const button of document.querySelectorAll("[data-ask]"))
  button.addEventListener("click", () => guarded(() => ask(button.dataset.ask)));

for (const button of document.querySelectorAll("[data-restore]"))
  button.addEventListener("click", () =>
    guarded(async () => {
      tell("Checking that version's files …");
      const { version } = await send(`${base}/versions/${button.dataset.restore}/current`, {
        method: "POST",
        headers: OURS,
      });
      tell(`Version ${version} is current.`);
      location.reload();
    }),
  );
