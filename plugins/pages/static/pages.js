// What pages do beyond links: choose a class, start a query, follow a run, make a version current.
export const { airflow, base, queryDag } = document.body.dataset;
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
  if (answer.status === 401) throw new Error("You are no longer logged in: reload the page.");
  const problem = new Error(typeof body.detail === "string" ? body.detail : `Airflow refused (${answer.status}).`);
  problem.status = answer.status;
  throw problem;
}

// Trigger the query as the logged-in user, through Airflow's own API, and open the page of its run.
export async function ask(query, more = {}) {
  tell("Starting the run …");
  const run = await send(`${airflow}/api/v2/dags/${queryDag}/dagRuns`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ logical_date: null, conf: { query, ...more } }),
  });
  location.href = `${base}/runs/${encodeURIComponent(run.dag_run_id)}?dag_id=${queryDag}`;
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

for (const choice of document.querySelectorAll("[data-submits]"))
  choice.addEventListener("change", () => choice.form.submit());

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

// A run that has not finished: show its tasks every second, then reload the page.
const progress = document.querySelector("[data-run]");
if (progress) guarded(follow);

async function follow() {
  const { run, dag } = progress.dataset;
  const address = `${airflow}/api/v2/dags/${encodeURIComponent(dag)}/dagRuns/${encodeURIComponent(run)}`;
  for (;;) {
    const [{ state }, { task_instances: tasks }] = await Promise.all([
      send(address),
      send(`${address}/taskInstances`),
    ]);
    progress.replaceChildren(...tasks.toSorted(byStart).map(step));
    if (state === "failed") {
      const failed = tasks.find((task) => task.state === "failed");
      throw new Error(`The run failed${failed ? ` in ${failed.task_id}: its log says why` : ""}.`);
    }
    if (state === "success") {
      const last = (task) => ["montage", "batch"].includes(task.task_id) && task.state === "success";
      if (tasks.some(last)) return location.reload();
      return tell("The run ended early: nothing was new, so there is no montage.");
    }
    tell(state === "queued" ? "Waiting for a free worker …" : "Searching …");
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

function byStart(one, other) {
  return (one.start_date ?? "9").localeCompare(other.start_date ?? "9");
}

function step(task) {
  const item = document.createElement("li");
  item.className = task.state ?? "none";
  const spent = task.duration ? ` ${task.duration.toFixed(0)} s` : "";
  item.textContent = `${task.task_id}: ${task.state ?? "to come"}${spent}`;
  return item;
}
