/**
 * Notifications of this browser: by the page while it is open, and by Web Push while it is not.
 *
 * The service worker shows them. Permission is asked for after a click alone. What localStorage has is
 * that they are wanted here, and where they are pushed to.
 */
import { Problem, Unreachable } from "./api.js";
import { session } from "./session.js";
import { store } from "./store.js";
import { onTold, tellTabs } from "./tabs.js";
import { update } from "./update.js";

const KEPT = "taskflow.notified";
const CHANNEL = "web_push";

/** @typedef {"unsupported" | "insecure" | "blocked" | "off" | "open" | "pushed"} State `open`: as long as a tab is open */
/** @typedef {"not-set-up" | "no-service" | "unreachable" | "refused" | null} Reason why nothing is pushed */

/**
 * What the service worker shows, as shared/taskflow/outbound/web_push.py writes it.
 *
 * @typedef {{ title: string | null, message: string | null, task_id: string | null, due_date: string | null, created_at: string }} Told
 */

/** @typedef {{ isWanted: boolean, isAsked?: boolean, user?: string, endpoint?: string, destination?: string }} Kept */

class ThisBrowser {
  isBusy = false;

  /** @type {Reason} */
  reason = null;

  /** @type {Kept} */
  #kept = kept();

  /** @returns {State} */
  get state() {
    if (!globalThis.isSecureContext) {
      return "insecure";
    }
    if (!("Notification" in globalThis) || !("serviceWorker" in navigator)) {
      return "unsupported";
    }
    if (Notification.permission === "denied") {
      return "blocked";
    }
    if (Notification.permission !== "granted" || !this.#kept.isWanted) {
      return "off";
    }
    return this.destination === null ? "open" : "pushed";
  }

  /** The id of the destination that this browser is. */
  get destination() {
    return this.#kept.user === session.user?.id ? (this.#kept.destination ?? null) : null;
  }

  /** Whether to offer them with the first reminder: nobody has said yes or no yet. */
  get isOffered() {
    return this.state === "off" && Notification.permission === "default" && !this.#kept.isAsked;
  }

  /** Offer them with reminders no more. */
  decline() {
    this.#keep({ ...this.#kept, isAsked: true });
  }

  /** Have the user told here, after a click: the browser may ask them. Throws as `session.request` does. */
  async turnOn() {
    await this.#alone(async () => {
      // First of all: a browser lets who has just clicked be asked.
      const permission = await Notification.requestPermission();
      this.#keep({ ...this.#kept, isAsked: true, isWanted: permission === "granted" });
      if (permission === "granted") {
        await this.#subscribe();
      }
    });
  }

  /** Have the user told here no more. Throws as `session.request` does. */
  async turnOff() {
    await this.#alone(async () => {
      const { destination } = this;
      if (destination !== null) {
        await session.request("DELETE", `destinations/${destination}`).catch(passOver404);
      }
      await (await subscription())?.unsubscribe();
      this.#keep({ isWanted: false, isAsked: true });
    });
  }

  /** Look whether the browser is still subscribed as it was: it may have been given another address. */
  async look() {
    if (this.state !== "pushed" || this.isBusy) {
      return;
    }
    const found = await subscription();
    if (found?.endpoint !== this.#kept.endpoint) {
      await this.#alone(() => this.#subscribe()).catch(() => {});
    }
  }

  /** Take it that a destination is gone. @param {string} id */
  async removed(id) {
    if (id === this.destination) {
      await (await subscription())?.unsubscribe();
      this.#keep({ isWanted: false, isAsked: true });
    }
  }

  /** Before somebody signs out: what is theirs is pushed here no more. */
  async leave() {
    try {
      if (this.state === "pushed") {
        await this.turnOff();
      }
    } catch {
      // The next to be told here takes the browser over.
    }
  }

  /** Forget all, for nobody is signed in. */
  async forget() {
    localStorage.removeItem(KEPT);
    this.#kept = kept();
    await (await subscription())?.unsubscribe();
  }

  /** Have the service worker tell of something, unless the user looks at the page. @param {Told} told */
  async tell(told) {
    if (this.state === "open" || this.state === "pushed") {
      const registration = await navigator.serviceWorker.getRegistration();
      registration?.active?.postMessage({ type: "notify", told });
    }
  }

  async #subscribe() {
    this.reason = null;
    try {
      const { body } = await session.request("GET", "web-push-key");
      const made = await subscribed(body.public_key);
      if (!made) {
        this.reason = "no-service";
        return;
      }
      const added = await session.request("POST", "destinations", {
        body: { channel: CHANNEL, subscription: made.toJSON() },
      });
      const user = /** @type {string} */ (session.user?.id);
      this.#keep({ ...this.#kept, user, endpoint: made.endpoint, destination: added.body.id });
      const { body: settings } = store.settings ? { body: store.settings } : await session.request("GET", "settings");
      const channels = settings.notification_channels;
      if (!channels.includes(CHANNEL)) {
        const changed = await session.request("PUT", "settings", { body: { notification_channels: [...channels, CHANNEL] } });
        store.takeSettings(changed.body);
      }
    } catch (error) {
      this.reason = reasonOf(error);
    }
  }

  /** @param {() => Promise<void>} work */
  async #alone(work) {
    this.isBusy = true;
    update();
    try {
      await work();
    } finally {
      this.isBusy = false;
      update();
    }
  }

  /** @param {Kept} what */
  #keep(what) {
    this.#kept = what;
    localStorage.setItem(KEPT, JSON.stringify(what));
    tellTabs("notified", what);
    update();
  }

  /** @param {Kept} what */
  told(what) {
    this.#kept = what;
    update();
  }
}

export const thisBrowser = new ThisBrowser();

onTold("notified", (what) => thisBrowser.told(what));

/** Subscribe to pushes by a key; undefined where the browser has no push service. @param {string} key */
async function subscribed(key) {
  const registration = await navigator.serviceWorker.getRegistration();
  if (!registration?.active || !("pushManager" in registration)) {
    return undefined;
  }
  const options = { userVisibleOnly: true, applicationServerKey: key };
  try {
    return await registration.pushManager.subscribe(options);
  } catch {
    // One by another key is in the way, or there is no service.
    await (await subscription())?.unsubscribe();
    return registration.pushManager.subscribe(options).catch(() => undefined);
  }
}

async function subscription() {
  if (!("serviceWorker" in navigator)) {
    return null;
  }
  const registration = await navigator.serviceWorker.getRegistration();
  return registration?.pushManager?.getSubscription().catch(() => null) ?? null;
}

/** @param {unknown} error @returns {Reason} */
function reasonOf(error) {
  if (error instanceof Unreachable) {
    return "unreachable";
  }
  if (error instanceof Problem) {
    return error.kind === "no-web-push" ? "not-set-up" : "refused";
  }
  throw error;
}

/** @param {unknown} error */
function passOver404(error) {
  if (!(error instanceof Problem && error.status === 404)) {
    throw error;
  }
}

/** @returns {Kept} */
function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT) ?? '{"isWanted":false}');
  } catch {
    return { isWanted: false };
  }
}
