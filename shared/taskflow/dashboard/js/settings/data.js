/** All that is the user's as a file, and back from it. */
import { html, nothing } from "../../vendor/lit-html.js";
import { Problem } from "../api.js";
import { session } from "../session.js";
import { store } from "../store.js";
import * as text from "../text.js";
import { say } from "../toasts.js";
import { update } from "../update.js";
import { Attempt, refusal } from "./attempt.js";

const FILE_NAME = "taskflow.jsonl";
const EXPORT_TIMEOUT_MS = 120_000;
const TRAILER_BYTES = 1_000;

const PART_MAX_CHARS = 250_000;
const PART_MAX_LINES = 500;
const PART_MAX_SERIES = 150;
/** Of one request: the server takes 1 MiB, 5,000 lines and 200 series, and not for long. */

const TAKEN = ["header", "account", "task", "trailer"];
const PASSED_OVER = ["event", "notification", "destination", "webhook"];
/** What lines an export has; those that an import passes over need not be sent. */

const ofExport = new Attempt();
const ofImport = new Attempt();

/** How far an import has come. @type {{ done: number, count: number } | null} */
let progress = null;
let wrong = "";

export function data() {
  return html`<div class="setting-line">
      <p>Export <span class="muted">All that is yours, in one file: tasks, series, reminders, the inbox and the history.</span></p>
      <button type="button" ?disabled=${ofExport.isBusy} @click=${() => void ofExport.run(download)}>${ofExport.isBusy ? "Exporting…" : "Download"}</button>
    </div>
    ${refusal(ofExport.rest)}
    <div class="setting-line">
      <p>Import <span class="muted">The tasks of such a file, into an account that has none yet.</span></p>
      <label class="file-button ${ofImport.isBusy ? "is-disabled" : ""}">
        Choose a file
        <input class="only-read" type="file" accept=".jsonl,.ndjson,application/jsonl" ?disabled=${ofImport.isBusy} @change=${chosen}>
      </label>
    </div>
    ${progress
      ? html`<p role="status"><progress max=${progress.count} .value=${progress.done} aria-label="Import"></progress>
          <small class="muted">${progress.done} of ${text.counted(progress.count, "task")}</small></p>`
      : nothing}
    ${refusal(wrong || ofImport.rest)}`;
}

async function download() {
  const { body } = await session.request("GET", "export", { isFile: true, timeoutMs: EXPORT_TIMEOUT_MS });
  const blob = /** @type {Blob} */ (body);
  const end = await blob.slice(-TRAILER_BYTES).text();
  if (!end.trimEnd().split("\n").at(-1)?.includes('"trailer"')) {
    throw new Problem(0, { detail: "The export was cut off on its way. Try it again." });
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = FILE_NAME;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** @param {Event} event */
async function chosen(event) {
  const input = /** @type {HTMLInputElement} */ (event.target);
  const [file] = input.files ?? [];
  if (!file || ofImport.isBusy) {
    return;
  }
  wrong = "";
  const lines = await file.text();
  input.value = "";
  const isDone = await ofImport.run(async () => {
    wrong = await send(partsOf(lines));
    if (wrong === "") {
      // The zone, and how one is told, come along.
      store.takeSettings((await session.request("GET", "settings")).body);
    }
  });
  progress = null;
  if (isDone && wrong === "") {
    say("All tasks of the file are here.");
    store.refresh();
  }
  update();
}

/** @typedef {{ text: string, numbers: number[], tasks: number }} Part the lines, and which lines of the file they are */

/** Send all parts; return what is wrong with the first that is refused. @param {Part[]} parts */
async function send(parts) {
  const count = parts.reduce((sum, { tasks }) => sum + tasks, 0);
  progress = { done: 0, count };
  for (const part of parts) {
    try {
      await session.request("POST", "import", { lines: part.text, timeoutMs: EXPORT_TIMEOUT_MS });
    } catch (error) {
      if (!(error instanceof Problem) || error.errors.length === 0) {
        throw error;
      }
      return error.errors.map(({ pointer, detail }) => saidOf(part, pointer, detail)).slice(0, 5).join(" ");
    }
    progress = { done: progress.done + part.tasks, count };
    update();
  }
  return "";
}

/** Say where in the file something is wrong. @param {Part} part @param {string} pointer @param {string} detail */
function saidOf(part, pointer, detail) {
  const [, line = "", ...path] = pointer.split("/");
  const number = part.numbers[Number(line)];
  return line === "" || number === undefined ? `${detail}.` : `Line ${number}${path.length > 0 ? `, ${path.join("/")}` : ""}: ${detail}.`;
}

/** Cut a file into parts that are taken one after the other, each behind its header. @param {string} file @returns {Part[]} */
function partsOf(file) {
  /** @type {string | undefined} */
  let header;
  let headerNumber = 1;
  /** @type {Part[]} */
  const parts = [];
  let series = 0;
  file.split("\n").forEach((line, at) => {
    const kind = kindOf(line);
    if (line.trim() === "" || PASSED_OVER.includes(kind)) {
      return;
    }
    if (kind === "header" && header === undefined) {
      [header, headerNumber] = [line, at + 1];
      return;
    }
    const last = parts.at(-1);
    const isFull =
      !last ||
      last.text.length + line.length > PART_MAX_CHARS ||
      last.numbers.length > PART_MAX_LINES ||
      series >= PART_MAX_SERIES;
    const part = isFull ? { text: header === undefined ? "" : `${header}\n`, numbers: header === undefined ? [] : [headerNumber], tasks: 0 } : last;
    if (isFull) {
      parts.push(part);
      series = 0;
    }
    part.text += `${line}\n`;
    part.numbers.push(at + 1);
    part.tasks += Number(kind === "task");
    series += Number(kind === "task" && !line.includes('"series":null'));
  });
  return parts.length > 0 ? parts : [{ text: file || "\n", numbers: [1], tasks: 0 }];
}

/** @param {string} line */
function kindOf(line) {
  try {
    const { type } = JSON.parse(line);
    return [...TAKEN, ...PASSED_OVER].includes(type) ? type : "";
  } catch {
    return "";
  }
}
