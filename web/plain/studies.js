// The study list: QIDO-RS (PS3.18 §10.6) shown as a table.
"use strict";

const PAGE = 50;
const element = (id) => document.getElementById(id);
let session = { idleSeconds: 1800, viewer: false };
let first = 0; // how many studies lie before this page
let idle = 0; // the timer that looks whether the session has ended

function logIn() {
  location.replace("/login?then=" + encodeURIComponent(location.pathname));
  return new Promise(() => {}); // nothing goes on here
}

/** Asks the archive. Without a session there is nothing to show: it goes to the log-in. */
async function ask(path, options = {}) {
  const answer = await fetch(path, options);
  if (answer.status === 401) return logIn();
  clearTimeout(idle);
  idle = setTimeout(() => ask("/session"), (session.idleSeconds + 1) * 1000);
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail ?? "The archive answers " + answer.status + ".");
  return answer;
}

/** The values of an attribute in DICOM JSON (PS3.18 Annex F). */
function values(study, tag) {
  return study[tag]?.Value ?? [];
}
function text(study, tag) {
  return values(study, tag).join(", ");
}
function date(study, tag) {
  return text(study, tag).replace(/^(\d{4})(\d\d)(\d\d)$/, "$1-$2-$3");
}
/** "Doe^Jane^^Dr" as "Doe, Jane Dr". */
function personName(study) {
  const name = values(study, "00100010")[0] ?? {};
  const [family, ...others] = (name.Alphabetic ?? name.Ideographic ?? "").split("^");
  return [family, others.filter(Boolean).join(" ")].filter(Boolean).join(", ") || "(no name)";
}

function cell(row, content, className = "") {
  const made = document.createElement("td");
  made.append(content);
  made.className = className;
  row.append(made);
}

function rowOf(study) {
  const row = document.createElement("tr");
  let patient = personName(study);
  if (session.viewer) {
    const link = document.createElement("a");
    link.href = "/ohif/viewer?StudyInstanceUIDs=" + encodeURIComponent(text(study, "0020000D"));
    link.textContent = patient;
    patient = link;
  }
  cell(row, patient);
  cell(row, text(study, "00100020"));
  cell(row, date(study, "00100030"));
  cell(row, date(study, "00080020"));
  cell(row, text(study, "00081030"));
  cell(row, text(study, "00080061"));
  cell(row, text(study, "00080050"));
  cell(row, text(study, "00201208"), "number");
  return row;
}

/** What the form asks for, as keys of a query. */
function query() {
  const form = new FormData(element("search"));
  const keys = new URLSearchParams({ limit: PAGE, offset: first, includefield: "StudyDescription" });
  for (const name of ["PatientName", "PatientID", "AccessionNumber", "ModalitiesInStudy"]) {
    const value = form.get(name).trim();
    if (value === "") continue;
    keys.set(name, name === "ModalitiesInStudy" ? value.toUpperCase() : value);
    if (name === "PatientName") keys.set("fuzzymatching", "true");
  }
  const [from, to] = ["from", "to"].map((name) => form.get(name).replaceAll("-", ""));
  if (from || to) keys.set("StudyDate", from + "-" + to);
  return keys;
}

async function show() {
  const message = element("message");
  message.classList.remove("wrong");
  message.textContent = "Looking …";
  try {
    const answer = await ask("/studies?" + query(), { headers: { Accept: "application/dicom+json" } });
    const studies = answer.status === 204 ? [] : await answer.json();
    const more = (answer.headers.get("Warning") ?? "").includes("additional results");
    element("studies").replaceChildren(...studies.map(rowOf));
    element("newer").disabled = first === 0;
    element("older").disabled = !more;
    message.textContent = studies.length === 0 ? "Nothing was found that you may see." : "Studies " + (first + 1) + " to " + (first + studies.length) + (more ? "; there are more." : ".");
    if (studies.length > 0 && !session.viewer) message.textContent += " No viewer is installed here.";
  } catch (problem) {
    element("studies").replaceChildren();
    message.textContent = problem.message;
    message.classList.add("wrong");
  }
}

function turn(pages) {
  first = Math.max(0, first + pages * PAGE);
  return show();
}

element("search").addEventListener("submit", (event) => {
  event.preventDefault();
  first = 0;
  show();
});
element("newer").addEventListener("click", () => turn(-1));
element("older").addEventListener("click", () => turn(1));
element("log-out").addEventListener("click", async () => {
  await fetch("/session", { method: "DELETE" });
  location.replace("/login");
});

(async () => {
  session = await (await ask("/session")).json();
  element("person").textContent = session.person;
  await show();
})();
