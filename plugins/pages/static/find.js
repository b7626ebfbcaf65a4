// The live search: what is asked stands in the page's address, so that it can be sent, reloaded and gone back to.
import { OURS, ask, base, element, guarded, send, tell } from "./pages.js";

const form = document.querySelector("[data-find]");
const drop = form.querySelector("[data-drop]");
const input = drop.querySelector("input");
const asked = document.querySelector("[data-asked]");
const tiles = document.querySelector("[data-tiles]");
const keep = document.querySelector("[data-keep]");
const far = document.querySelector("[data-far]");
const means = document.querySelector("[data-means]");
const AGAIN_MS = 2000;
const TURNS = 30;
let latest = 0;
let shownPicture = "";

function question() {
  const given = new URLSearchParams(location.search);
  return { picture: given.get("picture") ?? "", k: Number(given.get("k")) || 5, class: given.get("class") ?? "" };
}

// Ask another question: a new entry in the browser's history, then its answer.
function change(more) {
  const wanted = { ...question(), ...more };
  const given = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value !== ""));
  history.pushState(null, "", `?${given}`);
  return show();
}

async function show() {
  const { picture, k, class: name } = question();
  form.k.value = k;
  form.class.value = name;
  if (!picture) return;
  const number = ++latest;
  tell("Searching …");
  keep.hidden = true;
  for (let turn = 0; ; turn++) {
    try {
      const answer = await send(`${base}/api/v1/search`, {
        method: "POST",
        headers: { ...OURS, "Content-Type": "application/json" },
        body: JSON.stringify({ id: picture, k, class_name: name || null }),
      });
      if (number === latest) paint(answer);
      return;
    } catch (error) {
      if (number !== latest) return;
      if (shownPicture !== picture) clear();
      // The run needs no live search; but what it can't use, the run can't either.
      const down = [503, 504].includes(error.status);
      keep.hidden = !down;
      keep.textContent = "Search by a run, which takes longer";
      if (!down || turn === TURNS) throw error;
      tell(`${error.message} It is asked again by itself.`, true);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      if (number !== latest) return;
    }
  }
}

// Nothing of another picture's answer is left beside what is said now.
function clear() {
  asked.hidden = tiles.hidden = far.hidden = keep.hidden = true;
  means.textContent = "";
}

function paint(answer) {
  const { query, version } = answer;
  drop.classList.add("small");
  shownPicture = question().picture;
  keep.textContent = "Keep as a run, with a montage";
  asked.hidden = tiles.hidden = false;
  const shown = asked.querySelector("img");
  shown.src = `${base}/api/v1/pictures/${query.id ?? question().picture}/image`;
  asked.querySelector("h2").textContent = query.id ? `Looks like ${nameOf(query)}` : "Looks like your photo";
  asked.querySelector("[data-known]").hidden = !query.id;
  if (query.id) asked.querySelector("[data-known] a").href = pageOf(query.id, version);
  // Inside Airflow's own pages the browser's address is another one.
  asked.querySelector("[data-link]").href = location.href;
  tiles.replaceChildren(...answer.neighbours.map((other) => tile(other, version, query)));
  const spent = Math.max(1, Math.round(answer.milliseconds.all));
  const count = answer.neighbours.length;
  asked.querySelector("[data-how]").textContent =
    `${count} nearest of ${answer.pictures.toLocaleString("en")} pictures` +
    `${answer.class_name ? `, of class ${answer.class_name} alone` : ""} · ${answer.method} search, ${spent} ms · index ${version}`;
  keep.hidden = false;
  const { scale, neighbours } = answer;
  far.hidden = !(scale && neighbours.length && neighbours[0].distance >= scale.random);
  means.textContent = scale
    ? `Distance: 0 is the same picture; the neighbours of a picture lie at ${scale.neighbour.toFixed(3)} here, ` +
      `two random pictures at ${scale.random.toFixed(3)} (medians).`
    : "";
  tell(answer.note ?? "");
}

function tile(other, version, query) {
  const same = other.label !== null && other.label === query.label;
  const item = element("li");
  const link = element("a", same ? "tile same" : "tile");
  link.href = pageOf(other.id, version);
  link.title = `${nameOf(other)}\n${other.path.split("/").pop()}`;
  const shot = element("span", "shot");
  const picture = element("img");
  picture.src = `${base}/versions/${version}/pictures/${other.id}.jpg`;
  picture.alt = nameOf(other);
  shot.append(picture, element("span", "badge", other.rank));
  const caption = element("span", "caption");
  caption.append(element("b", "", nameOf(other)), element("span", "", `distance ${other.distance.toFixed(3)}`));
  if (same) caption.append(element("span", "same", "same class"));
  link.append(shot, caption);
  item.append(link);
  return item;
}

function nameOf(picture) {
  return picture.class_name ?? picture.label ?? picture.path.split("/").pop();
}

function pageOf(id, version) {
  return `${base}/pictures/${id}?version=${version}`;
}

async function upload(file) {
  if (!file) return tell("That was not a file: drop a picture from your computer.", true);
  latest++; // an answer that is still to come is of another picture
  clear();
  tell(`Sending ${file.name || "the picture"} …`);
  const { id } = await send(`${base}/uploads`, {
    method: "POST",
    headers: { ...OURS, "Content-Type": "application/octet-stream" },
    body: file,
  });
  await change({ picture: id });
}

input.addEventListener("change", () => input.files.length && guarded(() => upload(input.files[0])));
// A photo may be dropped anywhere: beside the zone, the browser would leave the page for it.
for (const over of ["dragenter", "dragover"])
  document.addEventListener(over, (event) => (event.preventDefault(), drop.classList.add("over")));
document.addEventListener("dragleave", (event) => event.relatedTarget ?? drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  guarded(() => upload(event.dataTransfer.files[0]));
});
document.addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (file) guarded(() => upload(file));
});
form.addEventListener("submit", (event) => event.preventDefault());
form.k.addEventListener("change", () => guarded(() => change({ k: form.k.value })));
form.class.addEventListener("change", () => guarded(() => change({ class: form.class.value })));
keep.addEventListener("click", () => {
  const { picture, k } = question();
  keep.disabled = true; // two clicks are meant as one
  guarded(() => ask(picture, { k })).finally(() => (keep.disabled = false));
});
addEventListener("popstate", () => guarded(show));
guarded(show);
