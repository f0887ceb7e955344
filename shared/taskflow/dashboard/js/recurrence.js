/**
 * Recurrence rules (RFC 5545, 3.3.10) as plans, which can be built by choosing.
 *
 * A rule may say more than a plan does; then it has none, and is for who writes rules.
 */
import { addDays, dayOf, daysAfterMonday, dueAt, nameOfWeekday, today } from "./dates.js";

export const WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

/** What is repeated by, one and several of it. @type {Record<Plan["frequency"], [string, string]>} */
export const UNITS = {
  DAILY: ["day", "days"],
  WEEKLY: ["week", "weeks"],
  MONTHLY: ["month", "months"],
  YEARLY: ["year", "years"],
};

/** Which one of its kind in a month. @type {Record<string, string>} */
export const PLACES = { 1: "first", 2: "second", 3: "third", 4: "fourth", [-1]: "last" };

/** The days of work, as one choice beside the days of the week. */
export const WORKDAY = "MO,TU,WE,TH,FR";

/**
 * @typedef {object} Plan
 * @property {"DAILY" | "WEEKLY" | "MONTHLY" | "YEARLY"} frequency
 * @property {number} interval
 * @property {string[]} weekdays of a week
 * @property {"day" | "weekday"} by a month's or a year's: a day of the month, or the last Friday of it
 * @property {number} day of the month, −1 for its last
 * @property {number} place which of the weekdays, −1 for the last
 * @property {string} weekday or `WORKDAY`
 * @property {number} month of a year
 * @property {"never" | "until" | "count"} ends
 * @property {string} until a day
 * @property {number} count
 */

/** Return the plan that begins on a day and repeats each week. @param {string} day @returns {Plan} */
export function firstPlan(day) {
  const weekday = String(WEEKDAYS[daysAfterMonday(day)]);
  return {
    frequency: "WEEKLY",
    interval: 1,
    weekdays: [weekday],
    by: "day",
    day: Number(day.slice(8)),
    place: Math.min(4, Math.ceil(Number(day.slice(8)) / 7)),
    weekday,
    month: Number(day.slice(5, 7)),
    ends: "never",
    until: addDays(day, 91),
    count: 10,
  };
}

/** Write a plan as a rule. @param {Plan} plan */
export function ruleOf(plan) {
  const { frequency, interval, weekdays, by, day, place, weekday, month, ends, until, count } = plan;
  const parts = [`FREQ=${frequency}`];
  if (interval > 1) {
    parts.push(`INTERVAL=${interval}`);
  }
  if (frequency === "YEARLY") {
    parts.push(`BYMONTH=${month}`);
  }
  if (frequency === "WEEKLY") {
    parts.push(`BYDAY=${WEEKDAYS.filter((each) => weekdays.includes(each)).join(",")}`);
  } else if (frequency !== "DAILY" && by === "day") {
    parts.push(`BYMONTHDAY=${day}`);
  } else if (frequency !== "DAILY") {
    parts.push(...(weekday === WORKDAY ? [`BYDAY=${WORKDAY}`, `BYSETPOS=${place}`] : [`BYDAY=${place}${weekday}`]));
  }
  if (ends === "count") {
    parts.push(`COUNT=${count}`);
  } else if (ends === "until") {
    parts.push(`UNTIL=${until.replaceAll("-", "")}`);
  }
  return parts.join(";");
}

/**
 * Read a rule as a plan; null where there is none that says the same.
 *
 * @param {string} rule
 * @param {string} start the day that what the rule leaves out is taken from
 * @returns {Plan | null}
 */
export function planOf(rule, start) {
  const parts = partsOf(rule);
  const frequency = /** @type {Plan["frequency"]} */ (parts.get("FREQ") ?? "");
  const takes = ["FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST"];
  if (frequency !== "DAILY") {
    takes.push("BYDAY");
  }
  if (frequency === "MONTHLY" || frequency === "YEARLY") {
    takes.push("BYMONTHDAY", "BYSETPOS");
  }
  if (frequency === "YEARLY") {
    takes.push("BYMONTH");
  }
  if (!(frequency in UNITS) || [...parts.keys()].some((name) => !takes.includes(name))) {
    return null;
  }
  const plan = { ...firstPlan(start), frequency, interval: Number(parts.get("INTERVAL") ?? 1) };
  const [days, monthDay, month] = [parts.get("BYDAY"), parts.get("BYMONTHDAY"), parts.get("BYMONTH")];
  const isWeekStart = parts.has("WKST") && parts.get("WKST") !== "MO" && frequency === "WEEKLY" && plan.interval > 1;
  if (isWeekStart || (month !== undefined && !isWhole(month)) || !withEnd(plan, parts)) {
    return null;
  }
  plan.month = Number(month ?? plan.month);
  if (frequency === "WEEKLY") {
    plan.weekdays = days === undefined ? plan.weekdays : days.split(",");
    return plan.weekdays.every((each) => WEEKDAYS.includes(each)) ? plan : null;
  }
  // A year's weekdays are of the year where no month is named, and a day of the month then of all months.
  const isOfYear = frequency === "YEARLY" && month === undefined && (days !== undefined || monthDay !== undefined);
  if (isOfYear || (days !== undefined && monthDay !== undefined)) {
    return null;
  }
  return days === undefined ? onDay(plan, monthDay, parts) : onWeekday(plan, days, parts);
}

/** @param {string} weekday */
export function weekdayLabel(weekday) {
  return weekday === WORKDAY ? "weekday" : nameOfWeekday((WEEKDAYS.indexOf(weekday) + 1) % 7, "long");
}

/** @param {number} count */
export function ordinal(count) {
  const ending = /** @type {Record<string, string>} */ ({ one: "st", two: "nd", few: "rd", other: "th" });
  return `${count}${ending[new Intl.PluralRules("en", { type: "ordinal" }).select(count)]}`;
}

/** @param {string} rule */
function partsOf(rule) {
  const written = rule.toUpperCase().replace(/^RRULE:/, "").split(";").filter(Boolean);
  return new Map(written.map((part) => /** @type {[string, string]} */ (part.split("=", 2))));
}

/** @param {string} text */
function isWhole(text) {
  return /^\d+$/.test(text);
}

/** Give a plan its end; say whether it could be read. @param {Plan} plan @param {Map<string, string>} parts */
function withEnd(plan, parts) {
  const [count, until] = [parts.get("COUNT"), parts.get("UNTIL")];
  if (count !== undefined) {
    plan.ends = "count";
    plan.count = Number(count);
  }
  if (until !== undefined) {
    const found = /^(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?$/.exec(until);
    if (!found) {
      return false;
    }
    const day = `${found[1]}-${found[2]}-${found[3]}`;
    plan.ends = "until";
    plan.until = found[7] === "Z" ? dayOf(new Date(`${day}T${found[4]}:${found[5]}:${found[6]}Z`)) : day;
  }
  return isWhole(parts.get("INTERVAL") ?? "1");
}

/** @param {Plan} plan @param {string | undefined} monthDay @param {Map<string, string>} parts @returns {Plan | null} */
function onDay(plan, monthDay, parts) {
  const day = Number(monthDay ?? plan.day);
  const isOne = Number.isInteger(day) && (day === -1 || day > 0);
  return isOne && !parts.has("BYSETPOS") ? { ...plan, by: "day", day } : null;
}

/** @param {Plan} plan @param {string} days @param {Map<string, string>} parts @returns {Plan | null} */
function onWeekday(plan, days, parts) {
  const position = parts.get("BYSETPOS");
  const numbered = /^(-?\d+)(MO|TU|WE|TH|FR|SA|SU)$/.exec(days);
  const place = Number(position ?? numbered?.[1]);
  const weekday = position === undefined ? numbered?.[2] : days;
  const isKnown = weekday !== undefined && (WEEKDAYS.includes(weekday) || weekday === WORKDAY);
  return isKnown && place in PLACES ? { ...plan, by: "weekday", place, weekday } : null;
}

/** Return the start of a series as it is sent, for a task that has none yet. @param {string | null} due */
export function startOf(due) {
  return due ?? dueAt(today(), "09:00");
}
