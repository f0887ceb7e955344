/** Dates and times in the user's zone, by Intl alone. A day is written `YYYY-MM-DD`. */

const DAY_MS = 86_400_000;
const DAY_END = "23:59";
/** A task that is due on a day, at no time of it, is due at its end (docs/quick-add.md). */

/** The day that it is, and the instants from and until which it is that. */
let current = { day: "", from: 0, until: 0 };

/** What days are called on that day: each row of a list asks. @type {Map<string, string>} */
const names = new Map();

/** The instants of local times: to find one takes four times the parts of a date. @type {Map<string, number>} */
const instants = new Map();
const INSTANTS_MAX = 5_000;

let zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/** Take a zone of the IANA database for the user's; one that the browser does not know is left. @param {string} name */
export function useZone(name) {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    zone = name;
  } catch {
    zone = "UTC";
  }
  current = { day: "", from: 0, until: 0 };
  instants.clear();
}

export function userZone() {
  return zone;
}

/** @param {string | undefined} locale @param {Intl.DateTimeFormatOptions} options */
function format(locale, options) {
  const key = `${zone} ${locale} ${JSON.stringify(options)}`;
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(locale, { timeZone: zone, ...options });
    formats.set(key, found);
  }
  return found;
}

/** The language of dates: the browser's, in the words of the page. */
const SHOWN = navigator.language.startsWith("en") ? navigator.language : "en-GB";

/** Return the day of an instant. @param {Date} at */
export function dayOf(at) {
  return format("en-CA", { year: "numeric", month: "2-digit", day: "2-digit" }).format(at);
}

/** Return the time of day of an instant, `HH:MM`. @param {Date} at */
export function timeOf(at) {
  return format("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(at);
}

export function today() {
  const now = Date.now();
  if (now < current.from || now >= current.until) {
    const day = dayOf(new Date(now));
    current = { day, from: instantOf(day).getTime(), until: instantOf(addDays(day, 1)).getTime() };
    names.clear();
  }
  return current.day;
}

/** @param {string} day @param {number} count */
export function addDays(day, count) {
  return new Date(Date.parse(`${day}T00:00:00Z`) + count * DAY_MS).toISOString().slice(0, 10);
}

/** Return how many days after the first the second is. @param {string} from @param {string} to */
export function daysBetween(from, to) {
  return Math.round((Date.parse(`${to}T00:00:00Z`) - Date.parse(`${from}T00:00:00Z`)) / DAY_MS);
}

/**
 * Return the instant of a local time. One that the clocks leave out is moved forward by the gap; of
 * two it is the first.
 *
 * @param {string} day
 * @param {string} [time]
 */
export function instantOf(day, time = "00:00") {
  const local = `${day} ${time}`;
  let at = instants.get(local);
  if (at === undefined) {
    at = found(day, time).getTime();
    if (instants.size >= INSTANTS_MAX) {
      instants.clear();
    }
    instants.set(local, at);
  }
  return new Date(at);
}

/** @param {string} day @param {string} time */
function found(day, time) {
  const wall = Date.parse(`${day}T${time}:00Z`);
  const before = wall - offsetMs(new Date(wall - DAY_MS));
  const after = wall - offsetMs(new Date(wall + DAY_MS));
  // The offset before a change of clocks gives the first of two times, and moves past a gap.
  for (const at of [before, after]) {
    if (at + offsetMs(new Date(at)) === wall) {
      return new Date(at);
    }
  }
  return new Date(before);
}

/** How far the zone is ahead of UTC. @param {Date} at */
function offsetMs(at) {
  const parts = format("en-GB", {
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  }).formatToParts(at);
  /** @param {Intl.DateTimeFormatPartTypes} type */
  const get = (type) => Number(parts.find((part) => part.type === type)?.value);
  const wall = Date.UTC(get("year"), get("month") - 1, get("day"), get("hour"), get("minute"), get("second"));
  return wall - Math.floor(at.getTime() / 1000) * 1000;
}

/** Whether a due date is of a day, and not of a time of it. @param {string} due */
export function isWholeDay(due) {
  return timeOf(new Date(due)) === DAY_END;
}

/** Return a due date as it is sent, `day` at `time` or at its end. @param {string} day @param {string} [time] */
export function dueAt(day, time = DAY_END) {
  return instantOf(day, time).toISOString();
}

/** Return what a day is called: Today, Tomorrow, Friday, 7 December. @param {string} day */
export function nameOfDay(day) {
  const now = today();
  const name = names.get(day) ?? nameFrom(now, day);
  names.set(day, name);
  return name;
}

/** @param {string} now @param {string} day */
function nameFrom(now, day) {
  const days = daysBetween(now, day);
  if (days === 0) {
    return "Today";
  }
  if (days === 1) {
    return "Tomorrow";
  }
  if (days === -1) {
    return "Yesterday";
  }
  const noon = instantOf(day, "12:00");
  if (days > 0 && days < 7) {
    return format(SHOWN, { weekday: "long" }).format(noon);
  }
  const isThisYear = day.slice(0, 4) === now.slice(0, 4);
  return format(SHOWN, {
    day: "numeric",
    month: "short",
    ...(isThisYear ? {} : { year: "numeric" }),
  }).format(noon);
}

/** Return a day without that of the week: 7 Dec. @param {string} day */
export function dayAndMonth(day) {
  return format(SHOWN, { day: "numeric", month: "short" }).format(instantOf(day, "12:00"));
}

/** Return the name of a month, 1 for January. @param {number} month */
export function monthName(month) {
  return new Intl.DateTimeFormat(SHOWN, { month: "long", timeZone: "UTC" }).format(Date.UTC(2024, month - 1, 1));
}

/** Return a day in full: Monday, 7 December 2026. @param {string} day */
export function wholeDay(day) {
  return format(SHOWN, { weekday: "long", day: "numeric", month: "long", year: "numeric" }).format(
    instantOf(day, "12:00"),
  );
}

/** Return a time of day as the user's language has it. @param {Date} at */
export function timeLabel(at) {
  return format(SHOWN, { hour: "numeric", minute: "2-digit" }).format(at);
}

/** Return when something is due: "Tomorrow 17:00", or just the day. @param {string} due */
export function dueLabel(due) {
  const at = new Date(due);
  const day = nameOfDay(dayOf(at));
  return isWholeDay(due) ? day : `${day} ${timeLabel(at)}`;
}

/** Return an instant in full, for titles and the history. @param {string} at */
export function wholeTime(at) {
  return format(SHOWN, { dateStyle: "full", timeStyle: "short" }).format(new Date(at));
}

/** Return the milliseconds until the day changes. */
export function untilMidnightMs() {
  return instantOf(addDays(today(), 1)).getTime() - Date.now();
}

/** Return a day as values of a chart have it: Mon, 7 Dec. @param {string} day */
export function shortDay(day) {
  return format(SHOWN, { weekday: "short", day: "numeric", month: "short" }).format(instantOf(day, "12:00"));
}

/** Return which day of the week a day is, from 0 for Sunday. @param {string} day */
export function weekdayOf(day) {
  return new Date(`${day}T12:00:00Z`).getUTCDay();
}

/** Return what a day of the week is called, from 0 for Sunday. @param {number} weekday @param {"long" | "short" | "narrow"} width */
export function nameOfWeekday(weekday, width) {
  // A Sunday, and those after it.
  return format(SHOWN, { weekday: width, timeZone: "UTC" }).format(Date.UTC(2023, 0, 1 + weekday));
}

/** Return how long ago, or until when, something is: "5 minutes ago". @param {string} at */
export function ago(at) {
  const seconds = (Date.parse(at) - Date.now()) / 1000;
  const relative = new Intl.RelativeTimeFormat(SHOWN, { numeric: "auto" });
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS.at(-1) ?? ["second", 1];
  return Math.abs(seconds) < 45 ? "just now" : relative.format(Math.trunc(seconds / length), unit);
}

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["year", 31_556_952],
  ["month", 2_629_746],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** Return the month of a day as a heading: December 2026. @param {string} day */
export function monthLabel(day) {
  return format(SHOWN, { month: "long", year: "numeric" }).format(instantOf(day, "12:00"));
}

/** Return how many days of its week were before a day, of a week that begins on Monday. @param {string} day */
export function daysAfterMonday(day) {
  return (weekdayOf(day) + 6) % 7;
}

/** Return how many days after Monday a week begins where the user is. */
export function firstWeekday() {
  const locale = /** @type {any} */ (new Intl.Locale(navigator.language));
  return ((locale.getWeekInfo?.() ?? locale.weekInfo)?.firstDay ?? 1) - 1;
}

/** Return the day so many months later, the last of its month where that is shorter. @param {string} day @param {number} count */
export function addMonths(day, count) {
  const first = new Date(`${day.slice(0, 7)}-01T00:00:00Z`);
  first.setUTCMonth(first.getUTCMonth() + count);
  const month = first.toISOString().slice(0, 7);
  return `${month}-${String(Math.min(Number(day.slice(8)), daysIn(month))).padStart(2, "0")}`;
}

/** @param {string} month `YYYY-MM` */
function daysIn(month) {
  return new Date(Date.UTC(Number(month.slice(0, 4)), Number(month.slice(5, 7)), 0)).getUTCDate();
}
