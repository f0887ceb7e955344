/**
 * What the server has of the user's settings, and where they are told: read as it is first shown.
 *
 * @import { Destination, LoginSession, Settings, Webhook } from "../representations.js"
 */
import { session } from "../session.js";
import { store } from "../store.js";
import { update } from "../update.js";

/** One list that is read as a whole. @template T */
export class Read {
  /** @type {T[] | null} */
  items = null;

  /** @type {Error | null} */
  error = null;

  #isUnderWay = false;

  /** @param {string} path */
  constructor(path) {
    this.path = path;
  }

  async read() {
    if (this.#isUnderWay) {
      return;
    }
    this.#isUnderWay = true;
    try {
      const { body } = await session.request("GET", this.path);
      this.items = body.items;
      this.error = null;
    } catch (error) {
      this.error = /** @type {Error} */ (error);
    } finally {
      this.#isUnderWay = false;
      update();
    }
  }

  /** Take one as it is now. @param {T & { id: string }} item */
  put(item) {
    const items = /** @type {(T & { id: string })[]} */ (this.items ?? []);
    const at = items.findIndex(({ id }) => id === item.id);
    this.items = at < 0 ? [...items, item] : items.with(at, item);
    update();
  }

  /** @param {string} id */
  remove(id) {
    this.items = (this.items ?? []).filter((each) => /** @type {{ id: string }} */ (/** @type {unknown} */ (each)).id !== id);
    update();
  }
}

/** @type {Read<Destination>} */
export const destinations = new Read("destinations");

/** All that a user may have. @type {Read<LoginSession>} */
export const sessions = new Read("sessions?limit=200");

/** @type {Read<Webhook>} */
export const webhooks = new Read("webhooks");

/** Read the settings, if they are not known. */
export async function readSettings() {
  if (store.settings === null) {
    const { body } = await session.request("GET", "settings");
    store.takeSettings(body);
  }
}

/** Change some settings; those that are not named stay. @param {Record<string, unknown>} changes */
export async function changeSettings(changes) {
  const { body } = await session.request("PUT", "settings", { body: changes });
  store.takeSettings(/** @type {Settings} */ (body));
}

/** Have a channel used, or be silent. @param {string} channel @param {boolean} isOn */
export async function useChannel(channel, isOn) {
  const others = (store.settings?.notification_channels ?? []).filter((each) => each !== channel);
  await changeSettings({ notification_channels: isOn ? [...others, channel] : others });
}
