/** What a search has marked: `<mark>` around matches, all else escaped; shown as text, never as HTML. */
import { html } from "../../vendor/lit-html.js";

/** @type {Record<string, string>} */
const ENTITIES = { "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'", "&#39;": "'", "&amp;": "&" };

/** Return the text with its marks. @param {string} highlighted */
export function marked(highlighted) {
  return highlighted
    .split(/(<mark>.*?<\/mark>)/s)
    .map((part) => (part.startsWith("<mark>") ? html`<mark>${plain(part.slice(6, -7))}</mark>` : plain(part)));
}

/** Return the text alone. @param {string} highlighted */
export function textOf(highlighted) {
  return plain(highlighted.replace(/<\/?mark>/g, ""));
}

/** @param {string} escaped */
function plain(escaped) {
  return escaped.replace(/&(?:lt|gt|quot|amp|#x27|#39);/g, (entity) => ENTITIES[entity] ?? entity);
}
