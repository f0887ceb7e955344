/**
 * Requests to the server: JSON out, JSON in, and one kind of error for each way to fail.
 *
 * @import { WrongField } from "./representations.js"
 */

export const TIMEOUT_MS = 15_000;

/** The server's refusal: a problem (RFC 9457), or what it says where it says less. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {Record<string, any>} details
   * @param {number} retryAfterS
   */
  constructor(status, details, retryAfterS = 0) {
    super(typeof details["detail"] === "string" ? details["detail"] : `The server answered ${status}.`);
    this.name = "Problem";
    this.status = status;
    this.details = details;
    this.kind = String(details["type"] ?? "").replace("urn:taskflow:problem:", "");
    /** @type {WrongField[]} */
    this.errors = Array.isArray(details["errors"]) ? details["errors"] : [];
    this.correlationId = String(details["correlation_id"] ?? "");
    this.retryAfterS = retryAfterS;
  }

  /** Whether the same request may well succeed later. */
  get isPassing() {
    return this.status === 429 || this.status >= 500;
  }
}

/** No answer came: the network is away, the server is, or it took too long. */
export class Unreachable extends Error {
  constructor() {
    super("TaskFlow can't be reached.");
    this.name = "Unreachable";
  }
}

/**
 * @typedef {object} Options
 * @property {unknown} [body] sent as JSON
 * @property {string} [lines] sent as JSON Lines
 * @property {boolean} [isFile] whether what is answered is wanted as a Blob
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal | undefined} [signal]
 * @property {number} [timeoutMs]
 */

/**
 * @typedef {object} Answer
 * @property {number} status
 * @property {any} body
 * @property {Headers} headers
 */

/**
 * Send a request to a path. Throws Problem for a refusal, Unreachable where no answer comes, and an
 * AbortError where the caller's signal says so.
 *
 * @param {string} method
 * @param {string} path
 * @param {Options} [options]
 * @returns {Promise<Answer>}
 */
export async function send(method, path, options = {}) {
  const { body, lines, isFile = false, headers = {}, signal, timeoutMs = TIMEOUT_MS } = options;
  const type = lines === undefined ? "application/json" : "application/jsonl";
  const sent = lines ?? (body === undefined ? null : JSON.stringify(body));
  const timeout = AbortSignal.timeout(timeoutMs);
  /** @type {Response} */
  let response;
  /** @type {any} */
  let answered = null;
  try {
    response = await fetch(path, {
      method,
      headers: sent === null ? headers : { "Content-Type": type, ...headers },
      body: sent,
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      // Only /api/auth takes the cookie, and its path keeps it from all else.
      credentials: "same-origin",
      cache: "no-store",
    });
    if (isFile && response.ok) {
      return { status: response.status, body: await response.blob(), headers: response.headers };
    }
    const text = await response.text();
    answered = text === "" ? null : parsed(text);
  } catch (error) {
    if (signal?.aborted) {
      throw error;
    }
    throw new Unreachable();
  }
  if (!response.ok) {
    throw new Problem(response.status, answered ?? {}, Number(response.headers.get("Retry-After") ?? 0));
  }
  return { status: response.status, body: answered, headers: response.headers };
}

/**
 * Write a query; parameters that are undefined are left out, lists are repeated.
 *
 * @param {Record<string, string | number | boolean | readonly string[] | null | undefined>} parameters
 */
export function query(parameters) {
  const written = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (Array.isArray(value)) {
      value.forEach((each) => written.append(name, each));
    } else if (value !== undefined && value !== null) {
      written.append(name, String(value));
    }
  }
  const text = written.toString();
  return text === "" ? "" : `?${text}`;
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    // A gateway's page: what matters is its status.
    return {};
  }
}
