/**
 * The stream of changes: by socket, else by long-poll, else by asking now and then; from where it was.
 *
 * One tab of a browser follows it and tells the others. What comes is the store's to take.
 *
 * @import { Message } from "./representations.js"
 */
import { Problem, query } from "./api.js";
import { session } from "./session.js";
import { store } from "./store.js";
import { alone, onTold, tellTabs } from "./tabs.js";
import { update } from "./update.js";

const FIRST_RETRY_MS = 500;
const RETRY_MAX_MS = 5_000;
/** Retries come after 0.5 s, then twice as long each time, up to this; each less up to a half. */

const OPEN_TIMEOUT_MS = 10_000;
const SOCKETS_REFUSED_MAX = 3;
/** How many sockets that never opened lead to long-polls. */

const POLL_WAIT_S = 25;
const POLLS = 20;
/** How many long-polls there are before a socket is tried again. */

const SLOW_POLL_MS = 30_000;
const BAD_TOKEN = 4401;

/** @typedef {"connecting" | "live" | "polling" | "offline"} Connection */

class Live {
  /** @type {Connection} */
  state = "connecting";

  /** Called as the server can be reached again. @type {Set<() => void>} */
  backListeners = new Set();

  /** @type {AbortController | null} */
  #following = null;

  #failures = 0;
  #refused = 0;

  /** Ends a pause early. @type {() => void} */
  #wake = () => {};

  /** Follow the stream, as the one tab that does, once it is this one's turn. */
  start() {
    this.stop();
    this.#following = new AbortController();
    const { signal } = this.#following;
    alone(`stream of ${session.user?.id}`, () => this.#follow(signal), signal).catch(() => {});
    // Another tab may be the one that follows: it says how it stands.
    tellTabs("connection?", null);
  }

  stop() {
    this.#following?.abort();
    this.#following = null;
    this.#wake();
  }

  /** Try at once: somebody looks. */
  hurry() {
    this.#failures = 0;
    this.#wake();
  }

  /** Try at once, and all ways: the browser says that there is a network, which may be another. */
  hurryOn() {
    this.#refused = 0;
    this.hurry();
  }

  /** @param {Connection} state */
  set(state) {
    const before = this.state;
    this.state = state;
    if (state !== before) {
      if (state === "live" || state === "polling") {
        this.backListeners.forEach((listener) => listener());
      }
      update();
    }
  }

  /** @param {Connection} state */
  #be(state) {
    this.set(state);
    tellTabs("connection", state);
  }

  /** Whether this tab is the one that follows. */
  get isFollowing() {
    return this.#isFollowing;
  }

  #isFollowing = false;

  /** @param {AbortSignal} signal */
  async #follow(signal) {
    this.#isFollowing = true;
    try {
      while (!signal.aborted) {
        try {
          if (store.seq === null) {
            await this.#poll(0, signal);
          }
          await (this.#refused < SOCKETS_REFUSED_MAX ? this.#bySocket(signal) : this.#byPolls(signal));
        } catch (error) {
          if (error instanceof Problem && error.status === 401) {
            return;
          }
        }
        if (!signal.aborted) {
          this.#be(navigator.onLine && this.#failures === 0 ? "connecting" : "offline");
          const waitMs = Math.min(RETRY_MAX_MS, FIRST_RETRY_MS * 2 ** this.#failures);
          this.#failures = Math.min(this.#failures + 1, 10);
          await this.#pause(waitMs * (0.5 + Math.random() / 2));
        }
      }
    } finally {
      this.#isFollowing = false;
    }
  }

  /** @param {number} ms */
  #pause(ms) {
    return new Promise((/** @type {(_: void) => void} */ resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Follow by a socket, until it closes. @param {AbortSignal} signal */
  async #bySocket(signal) {
    const used = await session.token();
    const url = new URL(`/ws${query({ since: store.seq })}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url, ["taskflow.v1", `bearer.${used}`]);
    const close = () => socket.close();
    const leave = () => {
      if (socket.readyState === WebSocket.CONNECTING) {
        // Closed before, it is an error to the browser.
        socket.addEventListener("open", close);
      } else {
        close();
      }
    };
    const timer = setTimeout(close, OPEN_TIMEOUT_MS);
    const renew = (/** @type {string} */ newer) => {
      if (socket.readyState === WebSocket.OPEN) {
        socket.send(JSON.stringify({ type: "auth", token: newer }));
      }
    };
    let hasOpened = false;
    signal.addEventListener("abort", leave);
    session.tokenListeners.add(renew);
    socket.addEventListener("message", (event) => {
      clearTimeout(timer);
      hasOpened = true;
      this.#failures = 0;
      this.#refused = 0;
      this.#take(JSON.parse(event.data));
      this.#be("live");
    });
    const code = await new Promise((/** @type {(code: number) => void} */ resolve) => {
      socket.addEventListener("close", (event) => resolve(event.code));
    });
    clearTimeout(timer);
    signal.removeEventListener("abort", leave);
    session.tokenListeners.delete(renew);
    if (code === BAD_TOKEN) {
      session.expireToken(used);
    }
    if (!hasOpened && !signal.aborted) {
      // Only where all else gets through are sockets what is refused.
      await this.#poll(0, signal);
      this.#refused += 1;
    }
  }

  /** Follow by long-polls, for a while. @param {AbortSignal} signal */
  async #byPolls(signal) {
    for (let count = 0; count < POLLS && this.#refused > 0 && !signal.aborted; count += 1) {
      await this.#poll(0, signal);
      this.#failures = 0;
      this.#be("polling");
      try {
        await this.#poll(POLL_WAIT_S, signal);
      } catch (error) {
        if (signal.aborted || (error instanceof Problem && !error.isPassing)) {
          throw error;
        }
        // What lies between does not let an answer take its time, and may say so.
        await this.#pause(SLOW_POLL_MS);
      }
    }
    this.#refused = 0;
  }

  /** @param {number} wait @param {AbortSignal} signal */
  async #poll(wait, signal) {
    const since = store.seq;
    const { body } = await session.request("GET", `events${query({ since, wait })}`, {
      signal,
      timeoutMs: (wait + 10) * 1000,
    });
    if (since === null || body.resync) {
      this.#take({ type: "task.sync", seq: body.seq, data: { resync: body.resync } });
    }
    body.items.forEach((/** @type {Message} */ message) => this.#take(message));
  }

  /** @param {any} message */
  #take(message) {
    take(message);
    tellTabs("message", message);
  }
}

/** @param {any} message */
function take(message) {
  if (message.type !== "task.sync") {
    store.receive(message);
  } else if (store.seq === null || message.data.resync) {
    store.seq = message.seq;
    // What was read before is of a time before this position, or may be.
    store.refresh();
  }
}

export const live = new Live();

onTold("message", (message) => {
  // A gap is one of a tab that has just come: it is told from the beginning of what it knows.
  if (message.type === "task.sync" || store.seq === null || message.seq <= store.seq + 1) {
    take(message);
  } else {
    void catchUp();
  }
});
onTold("connection", (state) => live.set(state));
onTold("connection?", () => {
  if (live.isFollowing) {
    tellTabs("connection", live.state);
    tellTabs("position", store.seq);
  }
});
onTold("position", (seq) => {
  if (store.seq === null) {
    // What was told since this page began is in here; what was before that, in what it reads.
    store.seq = seq;
  } else if (seq > store.seq) {
    void catchUp();
  }
});

/** @type {Promise<void> | null} */
let catching = null;

/** Read what was missed, for the other tab has gone on. */
async function catchUp() {
  catching ??= (async () => {
    try {
      for (;;) {
        const { body } = await session.request("GET", `events${query({ since: store.seq })}`);
        if (body.resync) {
          take({ type: "task.sync", seq: body.seq, data: { resync: true } });
        }
        body.items.forEach((/** @type {Message} */ message) => take(message));
        if (body.items.length === 0) {
          return;
        }
      }
    } catch {
      // Whatever comes next shows the gap again.
    } finally {
      catching = null;
    }
  })();
  await catching;
}

addEventListener("online", () => live.hurryOn());
addEventListener("offline", () => live.set("offline"));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && live.state !== "live") {
    live.hurry();
  }
});
