// The runs that whoever is logged in may see, asked of Airflow.
import { airflow, base, element, guarded, runPage, send } from "./pages.js";

const MOST = 50;
const NAMES = { similarity_index: "Index", similarity_query: "Look-alikes", similarity_batch: "Batch" };
const BY = { asset_triggered: "the inbox", scheduled: "the clock" };
const table = document.querySelector("[data-runs]");
const versions = JSON.parse(table.dataset.versions);

guarded(async () => {
  const { dag_runs: runs } = await send(`${airflow}/api/v2/dags/~/dagRuns/list`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ dag_ids: table.dataset.dags.split(" "), order_by: "-run_after", page_limit: MOST }),
  });
  table.tBodies[0].replaceChildren(...runs.map(row));
  table.parentElement.hidden = !runs.length;
  document.querySelector("[data-none]").hidden = runs.length > 0;
});

function row(run) {
  const made = element("tr");
  const result = element("td", run.state === "failed" ? "wrong" : "");
  const version = versions[run.dag_run_id];
  const link = element("a", "", version ? `version ${version}` : words(run.state));
  link.href = version ? `${base}/?version=${version}` : runPage(run.dag_id, run.dag_run_id);
  result.append(link);
  const name = element("td");
  const page = element("a", "", what(run));
  page.href = runPage(run.dag_id, run.dag_run_id);
  name.append(page);
  const cells = {
    run: name,
    "started by": element("td", "", BY[run.run_type] ?? run.triggering_user_name ?? "a person"),
    when: element("td", "nowrap", (run.start_date ?? run.queued_at ?? "").slice(0, 16).replace("T", " ")),
    took: element("td", "nowrap", run.duration ? `${run.duration.toFixed(0)} s` : ""),
    result,
  };
  for (const [label, cell] of Object.entries(cells)) {
    cell.dataset.label = label;
    made.append(cell);
  }
  return made;
}

function what({ dag_id: dag, conf }) {
  const given = conf ?? {};
  const of = {
    similarity_index: given.folder ?? (given.source ?? "").replaceAll("_", " "),
    similarity_query: given.query ?? "a random picture",
    similarity_batch: given.class_name ?? given.questions ?? "",
  }[dag];
  return of ? `${NAMES[dag]}: ${of}` : NAMES[dag];
}

function words(state) {
  return { success: "done", failed: "failed: see why", running: "running", queued: "waiting" }[state] ?? state;
}
