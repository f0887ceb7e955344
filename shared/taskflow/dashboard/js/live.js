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
const SHORT_MS = 10_000;
const SOCKETS_REFUSED_MAX = 3;
/** How many sockets that never opened, or were cut so soon, lead to long-polls; one that hung does. */

const POLL_WAIT_S = 25;
const SOCKET_AGAIN_MS = 300_000;
/** How long there are long-polls before a socket is tried again. */

const POLLS_CUT_MAX = 2;
const SLOW_POLL_MS = 30_000;
/** After how many long-polls that were cut, one after the other, there is a look every so often. */

const CUT = 1006;
const BAD_TOKEN = 4401;

/** @typedef {"connecting" | "live" | "polling" | "looking" | "offline"} Connection `looking`: every now and then */

class Live {
  /** @type {Connection} */
  state = "connecting";

  /** Called as the server can be reached again. @type {Set<() => void>} */
  backListeners = new Set();

  /** @type {AbortController | null} */
  #following = null;

  #failures = 0;
  #refused = 0;

  /** When a socket is tried again. */
  #socketAt = 0;

  /** @type {WebSocket | null} */
  #socket = null;

  /** How many messages came by sockets. */
  #heard = 0;

  /** Ends a pause early. @type {() => void} */
  #wake = () => {};

  /** Takes the socket for cut. @type {() => void} */
  #drop = () => {};

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
    this.state = "connecting";
  }

  /** Try at once: somebody looks. */
  hurry() {
    if (!this.#isFollowing) {
      tellTabs("hurry", null);
      return;
    }
    this.#failures = 0;
    this.#wake();
    void this.#look();
  }

  /** Try at once, and all ways: the browser says that there is a network, which may be another. */
  hurryOn() {
    this.#refused = 0;
    this.#socketAt = 0;
    this.hurry();
  }

  #isForSockets() {
    return Date.now() >= this.#socketAt;
  }

  /** @param {Connection} state */
  set(state) {
    const before = this.state;
    this.state = state;
    if (state !== before) {
      if (isThere(state) && !isThere(before)) {
        this.backListeners.forEach((listener) => listener());
      }
      update();
    }
  }

  /** See whether an open socket still gets through: one that was cut while nobody looked may not know. */
  async #look() {
    const socket = this.#socket;
    const following = this.#following;
    if (socket?.readyState !== WebSocket.OPEN || !following) {
      return;
    }
    try {
      const [seq, heard] = [store.seq, this.#heard];
      await this.#poll(0, following.signal);
      if (socket !== this.#socket || socket.readyState !== WebSocket.OPEN) {
        return;
      }
      if (store.seq !== seq && this.#heard === heard) {
        // It should have told that.
        this.#drop();
      } else {
        this.#be("live");
      }
    } catch {
      // Then it is closed soon, or is asked for again.
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
          if (this.#isForSockets()) {
            await this.#bySocket(signal);
          }
          if (!this.#isForSockets()) {
            await this.#byPolls(signal);
            continue;
          }
        } catch {
          if (session.state !== "signed-in") {
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
    this.#socket = socket;
    const close = () => socket.close();
    const leave = () => {
      if (socket.readyState === WebSocket.CONNECTING) {
        // Closed before, it is an error to the browser.
        socket.addEventListener("open", close);
      } else {
        close();
      }
    };
    let hasHung = false;
    const timer = setTimeout(() => {
      hasHung = true;
      close();
    }, OPEN_TIMEOUT_MS);
    const renew = (/** @type {string} */ newer) => {
      if (socket.readyState === WebSocket.OPEN) {
        socket.send(JSON.stringify({ type: "auth", token: newer }));
      }
    };
    let openedAt = 0;
    signal.addEventListener("abort", leave);
    session.tokenListeners.add(renew);
    socket.addEventListener("message", (event) => {
      if (socket !== this.#socket) {
        return;
      }
      clearTimeout(timer);
      this.#heard += 1;
      openedAt ||= Date.now();
      this.#failures = 0;
      this.#take(JSON.parse(event.data));
      this.#be("live");
    });
    const code = await new Promise((/** @type {(code: number) => void} */ resolve) => {
      socket.addEventListener("close", (event) => resolve(event.code));
      this.#drop = () => {
        close();
        resolve(CUT);
      };
    });
    clearTimeout(timer);
    signal.removeEventListener("abort", leave);
    session.tokenListeners.delete(renew);
    this.#socket = null;
    if (code === BAD_TOKEN) {
      session.expireToken(used);
    }
    if (signal.aborted) {
      return;
    }
    if (openedAt > 0 && (code !== CUT || Date.now() - openedAt >= SHORT_MS)) {
      this.#refused = 0;
      return;
    }
    // Only where all else gets through are sockets what is refused.
    await this.#poll(0, signal);
    this.#failures = 0;
    this.#refused += code === BAD_TOKEN ? 0 : hasHung ? SOCKETS_REFUSED_MAX : 1;
    if (this.#refused >= SOCKETS_REFUSED_MAX) {
      // Then one more that is refused is enough.
      this.#refused = SOCKETS_REFUSED_MAX - 1;
      this.#socketAt = Date.now() + SOCKET_AGAIN_MS;
    }
  }

  /** Follow by long-polls, for a while. @param {AbortSignal} signal */
  async #byPolls(signal) {
    let cut = this.state === "looking" ? POLLS_CUT_MAX : 0;
    while (!signal.aborted && !this.#isForSockets()) {
      // Where this does not get through either, nothing does.
      await this.#poll(0, signal);
      this.#failures = 0;
      this.#be(cut < POLLS_CUT_MAX ? "polling" : "looking");
      if (await this.#isHeld(signal)) {
        cut = 0;
      } else {
        cut += 1;
        if (cut > POLLS_CUT_MAX) {
          await this.#pause(SLOW_POLL_MS);
        }
      }
    }
  }

  /** Wait for a long-poll; say whether what lies between lets an answer take its time. @param {AbortSignal} signal */
  async #isHeld(signal) {
    try {
      await this.#poll(POLL_WAIT_S, signal);
      return true;
    } catch (error) {
      if (signal.aborted || (error instanceof Problem && !error.isPassing)) {
        throw error;
      }
      return false;
    }
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

/** Whether changes of others come. @param {Connection} state */
function isThere(state) {
  return state === "live" || state === "polling" || state === "looking";
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

onTold("hurry", () => {
  if (live.isFollowing) {
    live.hurry();
  }
});

addEventListener("online", () => live.hurryOn());
addEventListener("offline", () => live.set("offline"));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) {
    live.hurry();
  }
});
