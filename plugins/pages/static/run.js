// A run that has not finished: its steps and what the running one says, every second; then its result.
import { airflow, base, guarded, send, tell } from "./pages.js";

const LOOK_EVERY_MS = 1000;
const READ_EVERY = 3;
const OURS = /^(jobs\.|dags\.|airflow\.task\.hooks)/;
const NOISE = /^(::|Spark-Submit cmd|WARNING: Using incubator)/;
const WORK = { similarity_index: "Building an index", similarity_query: "Searching", similarity_batch: "Answering the batch" };
const steps = document.querySelector("[data-run]");
const heading = document.querySelector("[data-heading]");
const photo = document.querySelector("[data-photo]");
const { run, dag } = steps.dataset;
const address = `${airflow}/api/v2/dags/${encodeURIComponent(dag)}/dagRuns/${encodeURIComponent(run)}`;

guarded(follow);

async function follow() {
  const order = chain((await send(`${airflow}/api/v2/dags/${encodeURIComponent(dag)}/tasks`)).tasks);
  for (let turn = 0; ; turn++) {
    const [{ state, conf, start_date: started }, { task_instances: found }] = await Promise.all([
      send(address),
      send(`${address}/taskInstances`),
    ]);
    const tasks = found.toSorted((one, other) => order.indexOf(one.task_id) - order.indexOf(other.task_id));
    steps.replaceChildren(...tasks.map(step));
    show(conf);
    if (state === "success" || state === "failed") return end(state, tasks);
    const running = tasks.find((task) => task.state === "running");
    const number = order.indexOf(running?.task_id) + 1;
    const where = running && order.length > 1 ? `, step ${number} of ${order.length}: ${running.task_id}` : "";
    heading.textContent = state === "queued" ? "Waiting for its turn" : WORK[dag] + where;
    if (running && turn % READ_EVERY === 0) tell((await said(running)).at(-1) ?? "Starting …");
    if (!running) tell(started ? `Started ${ago(started)} ago` : "Another run has to end first, or a worker to be free.");
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

async function end(state, tasks) {
  document.querySelector("[data-replaced]")?.remove();
  if (state === "failed") {
    const failed = tasks.find((task) => task.state === "failed");
    heading.textContent = failed ? `The run failed in ${failed.task_id}` : "The run failed";
    const lines = failed ? await said(failed) : [];
    const why = lines.findLast((line) => line.startsWith("error: "));
    tell(why ? capital(why.replace("error: ", "")) : "It was stopped, or its log says why.", true);
    if (failed) steps.after(logOf(failed));
    return;
  }
  const ended = (name) => tasks.some((task) => task.task_id === name && task.state === "success");
  if (ended("montage") || ended("batch")) return location.reload();
  const { version } = steps.dataset;
  if (ended("publish") && !version) return location.reload();
  if (version) {
    heading.textContent = "The index is built";
    const built = document.querySelector("[data-built]");
    const [pictures, report] = built.querySelectorAll("a");
    pictures.href = `${base}/?version=${version}`;
    report.href = `${base}/versions/${version}/report.html`;
    built.hidden = false;
    return tell("Nobody asked about a picture in this run, so there is no montage.");
  }
  heading.textContent = "Nothing was new";
  tell("The index holds all pictures already, so the run ended early.");
}

// The names of tasks that follow each other, in their order.
function chain(tasks) {
  const after = new Set(tasks.flatMap((task) => task.downstream_task_ids));
  const order = [];
  let next = tasks.find((task) => !after.has(task.task_id));
  while (next) {
    order.push(next.task_id);
    next = tasks.find((task) => next.downstream_task_ids.includes(task.task_id));
  }
  return order;
}

// The lines of a task's log that are meant for people.
async function said(task) {
  const log = `${address}/taskInstances/${task.task_id}/logs/${Math.max(1, task.try_number)}`;
  const { content } = await send(log, { headers: { Accept: "application/json" } }).catch(() => ({}));
  const ours = (line) => OURS.test(line.logger ?? "") && !NOISE.test(line.event);
  return Array.isArray(content) ? content.filter(ours).map((line) => line.event) : [];
}

function logOf(task) {
  const link = document.createElement("a");
  link.href = `${airflow}/dags/${dag}/runs/${encodeURIComponent(run)}/tasks/${task.task_id}`;
  link.target = "_top";
  link.textContent = `The log of ${task.task_id}`;
  return link;
}

// An uploaded photo that is searched for.
function show(conf) {
  if (!photo || !photo.hidden || !/^[0-9a-f]{32}$/.test(conf?.query ?? "")) return;
  photo.src = `${base}/api/v1/pictures/${conf.query}/image`;
  photo.hidden = false;
}

function step(task) {
  const item = document.createElement("li");
  item.className = task.state ?? "none";
  const spent = task.duration ? ` ${task.duration.toFixed(0)} s` : "";
  item.textContent = `${task.task_id}: ${(task.state ?? "to come").replaceAll("_", " ")}${spent}`;
  return item;
}

function ago(time) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(time)) / 1000));
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

function capital(sentence) {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}
