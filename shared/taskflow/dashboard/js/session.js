/**
 * Who has signed in: tokens, and requests that carry them.
 *
 * The access token lies in memory alone. The refresh token is a cookie that no script can read; with
 * it, each tab gets an access token of its own. What localStorage has is only who it was.
 *
 * @import { Answer, Options } from "./api.js"
 * @import { Tokens, User } from "./representations.js"
 */
import { Problem, send, Unreachable } from "./api.js";
import { actAs, alone, onTold, tellAllTabs } from "./tabs.js";

const REMEMBERED = "taskflow.user";
const REFRESH_BEFORE_MS = 60_000;
export const WRONG_PASSWORD = "credentials-are-wrong";
/** The problem of a password that was sent with a token: the token is as good as it was. */

/** Where a page begins that is somebody else's now. */
const BEGINNING = "/";

let token = "";
let refreshAt = 0;

/** @type {Promise<void> | null} */
let refreshing = null;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** @typedef {"signed-in" | "signed-out" | "expired"} State */

class Session {
  /** @type {User | null} */
  user = remembered();

  /** @type {State} */
  state = this.user ? "signed-in" : "signed-out";

  /** Whose page it is: that of the last user, after they have signed out too. */
  #owner = this.user?.id ?? "";

  /** Called with each change of the state or the user. @type {Set<() => void>} */
  listeners = new Set();

  /** Called with each new access token. @type {Set<(token: string) => void>} */
  tokenListeners = new Set();

  get isAdministrator() {
    return rolesIn(token).includes("admin");
  }

  /** @param {string} email @param {string} password */
  async logIn(email, password) {
    await this.#sign("login", { email, password });
  }

  /** @param {string} email @param {string} password */
  async register(email, password) {
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
    await this.#sign("register", { email, password, timezone: timeZone });
  }

  /** End the session, at the server too if that can be reached. */
  async logOut() {
    try {
      await this.request("POST", "auth/logout", { body: {} });
    } catch (error) {
      if (error instanceof Problem && error.status !== 401) {
        throw error;
      }
    } finally {
      this.forget("signed-out");
      tellAllTabs("signed-out", null);
    }
  }

  /** Delete the account for good. Throws as `request` does. @param {string} password */
  async deleteAccount(password) {
    await this.request("DELETE", "account", { body: { password } });
    this.forget("signed-out");
    tellAllTabs("signed-out", null);
  }

  /**
   * Send a request below `/api/`, with an access token that lasts. Throws as `send` does; a Problem
   * 401 means that the session is over, and has been said to all listeners.
   *
   * @param {string} method
   * @param {string} path
   * @param {Options} [options]
   * @returns {Promise<Answer>}
   */
  async request(method, path, options = {}) {
    for (const isLast of [false, true]) {
      const used = await this.token();
      const headers = { ...options.headers, Authorization: `Bearer ${used}` };
      try {
        return await send(method, `/api/${path}`, { ...options, headers });
      } catch (error) {
        if (isLast || !(error instanceof Problem) || error.status !== 401 || error.kind === WRONG_PASSWORD) {
          throw error;
        }
        this.expireToken(used);
      }
    }
    throw new Error("unreachable: the last attempt returns or throws");
  }

  /** Return an access token that lasts a while. Throws as `request` does. */
  async token() {
    if (Date.now() >= refreshAt) {
      refreshing ??= this.#refresh().finally(() => {
        refreshing = null;
      });
      await refreshing;
    }
    return token;
  }

  /** Have the next request fetch a new token, for the server takes this one no more. @param {string} used */
  expireToken(used) {
    if (used === token) {
      refreshAt = 0;
    }
  }

  /** Take the session for over, here. @param {State} state */
  forget(state) {
    token = "";
    refreshAt = 0;
    clearTimeout(timer);
    if (state === "signed-out") {
      actAs("");
      localStorage.removeItem(REMEMBERED);
      this.user = null;
    }
    this.state = state;
    this.#tell();
  }

  /** Have all parts know the user's zone. @param {string} timezone */
  changeZone(timezone) {
    if (this.user && this.user.timezone !== timezone) {
      this.user = { ...this.user, timezone };
      localStorage.setItem(REMEMBERED, JSON.stringify(this.user));
      this.#tell();
    }
  }

  /** @param {"login" | "register"} how @param {Record<string, string>} body */
  async #sign(how, body) {
    const { body: given } = await send("POST", `/api/auth/${how}`, { body });
    tellAllTabs("signed-in", given.user);
    if (!this.become(given.user)) {
      await new Promise(() => {});
    }
    this.#take(given);
  }

  async #refresh() {
    // One tab after the other: each uses the cookie that the one before was given.
    await alone("refresh", async () => {
      try {
        const { body } = await send("POST", "/api/auth/refresh", { body: {} });
        this.#take(body);
      } catch (error) {
        if (error instanceof Problem && error.status === 401 && this.state === "signed-in") {
          this.forget("expired");
        }
        throw error;
      }
    });
  }

  /**
   * Have the page be a user's. Where it was somebody else's it is loaded anew, for nothing of theirs may
   * stay: say whether it goes on.
   *
   * @param {User} user
   */
  become(user) {
    localStorage.setItem(REMEMBERED, JSON.stringify(user));
    if (this.#owner !== "" && this.#owner !== user.id) {
      location.replace(BEGINNING);
      return false;
    }
    this.#owner = user.id;
    this.user = user;
    actAs(user.id);
    return true;
  }

  /** @param {Tokens} given */
  #take(given) {
    if (!this.become(given.user)) {
      // What waits for a token waits for the user whose page it was.
      throw new Unreachable();
    }
    token = given.access_token;
    const lifetimeMs = given.expires_in * 1000;
    refreshAt = Date.now() + lifetimeMs - Math.min(REFRESH_BEFORE_MS, lifetimeMs / 2);
    clearTimeout(timer);
    // A socket stays open only if it is sent a newer one in time.
    timer = setTimeout(() => void this.token().catch(() => {}), refreshAt - Date.now());
    this.state = "signed-in";
    this.tokenListeners.forEach((listener) => listener(token));
    this.#tell();
  }

  #tell() {
    this.listeners.forEach((listener) => listener());
  }
}

export const session = new Session();
actAs(session.user?.id ?? "");

onTold("signed-out", () => {
  if (session.state !== "signed-out") {
    session.forget("signed-out");
  }
});
onTold("signed-in", (user) => {
  if (session.state !== "signed-in" || session.user?.id !== user.id) {
    // What is typed here stays, if the page is theirs already.
    if (session.become(user)) {
      session.token().catch(() => {});
    }
  }
});

function remembered() {
  try {
    const kept = localStorage.getItem(REMEMBERED);
    return kept === null ? null : /** @type {User} */ (JSON.parse(kept));
  } catch {
    return null;
  }
}

/** @param {string} jwt @returns {string[]} */
function rolesIn(jwt) {
  const [, payload] = jwt.split(".");
  if (!payload) {
    return [];
  }
  const { roles } = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
  return Array.isArray(roles) ? roles : [];
}
