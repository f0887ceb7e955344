/** Recurrence rules (RFC 5545, 3.3.10) in words. */
import { dayOf, monthName, nameOfDay, nameOfWeekday } from "./dates.js";

/** @type {Record<string, readonly [string, string]>} */
const PERIODS = {
  SECONDLY: ["second", "seconds"],
  MINUTELY: ["minute", "minutes"],
  HOURLY: ["hour", "hours"],
  DAILY: ["day", "days"],
  WEEKLY: ["week", "weeks"],
  MONTHLY: ["month", "months"],
  YEARLY: ["year", "years"],
};

const WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

const lists = new Intl.ListFormat("en", { style: "long", type: "conjunction" });
const ordinals = new Intl.PluralRules("en", { type: "ordinal" });

/** Return a rule in words: "Every 2 weeks on Monday and Friday, 10 times". @param {string} rule */
export function inWords(rule) {
  const parts = new Map(
    rule
      .replace(/^RRULE:/i, "")
      .split(";")
      .map((part) => /** @type {[string, string]} */ (part.toUpperCase().split("=", 2))),
  );
  const period = PERIODS[parts.get("FREQ") ?? ""];
  if (!period) {
    return rule;
  }
  const of = (/** @type {string} */ name) => parts.get(name)?.split(",").filter(Boolean) ?? [];
  return [
    every(parts, period, of("BYDAY")),
    inMonths(of("BYMONTH")),
    of("BYWEEKNO").length > 0 ? `in week ${lists.format(of("BYWEEKNO").map(fromEnd))}` : "",
    of("BYYEARDAY").length > 0 ? `on day ${lists.format(of("BYYEARDAY").map(fromEnd))} of the year` : "",
    onDays(parts, of("BYMONTHDAY"), of("BYDAY"), of("BYSETPOS")),
    atTimes(of("BYHOUR"), of("BYMINUTE")),
  ]
    .filter((part) => part !== "")
    .join(" ")
    .concat(ending(parts));
}

/** @param {Map<string, string>} parts @param {readonly [string, string]} period @param {string[]} days */
function every(parts, [one, many], days) {
  const interval = Number(parts.get("INTERVAL") ?? 1);
  const isWeekdays = days.length === 5 && WEEKDAYS.slice(0, 5).every((day) => days.includes(day));
  if (interval === 1 && isWeekdays && !parts.has("BYSETPOS") && /WEEKLY|DAILY/.test(parts.get("FREQ") ?? "")) {
    return "Every weekday";
  }
  return interval === 1 ? `Every ${one}` : `Every ${interval} ${many}`;
}

/** @param {Map<string, string>} parts @param {string[]} monthDays @param {string[]} days @param {string[]} positions */
function onDays(parts, monthDays, days, positions) {
  if (every(parts, ["", ""], days) === "Every weekday") {
    return "";
  }
  const named = days.map(weekday);
  const chosen = positions.length > 0 ? `the ${lists.format(positions.map(ordinal))} ` : "";
  if (chosen !== "" && days.length > 0) {
    const isAll = (/** @type {string[]} */ of) => of.length === days.length && of.every((day) => days.includes(day));
    const kind = isAll(WEEKDAYS) ? "day" : isAll(WEEKDAYS.slice(0, 5)) ? "weekday" : isAll(["SA", "SU"]) ? "day of the weekend" : "";
    return `on ${chosen}${kind === "" ? `of ${lists.format(named)}` : kind}`;
  }
  const of = monthDays.length > 0 ? `the ${lists.format(monthDays.map(ordinal))}` : "";
  if (of !== "" && named.length > 0) {
    return `on ${of}, if it is ${lists.format(named)}`;
  }
  const which = of === "" ? lists.format(named) : of;
  return which === "" ? "" : `on ${chosen}${which}`;
}

/** Return `MO` as Monday, `-1FR` as the last Friday. @param {string} day */
function weekday(day) {
  const number = day.slice(0, -2);
  const name = nameOfWeekday((WEEKDAYS.indexOf(day.slice(-2)) + 1) % 7, "long");
  return number === "" ? name : `the ${ordinal(number)} ${name}`;
}

/** Return 2 as 2nd, -1 as last, -2 as 2nd last. @param {string} number */
function ordinal(number) {
  const value = Number(number);
  if (value === -1) {
    return "last";
  }
  const size = Math.abs(value);
  const ends = { one: "st", two: "nd", few: "rd", other: "th", zero: "th", many: "th" };
  return `${size}${ends[ordinals.select(size)]}${value < 0 ? " last" : ""}`;
}

/** @param {string} number */
function fromEnd(number) {
  return number.startsWith("-") ? `${number.slice(1)} from the end` : number;
}

/** @param {string[]} months */
function inMonths(months) {
  return months.length === 0 ? "" : `in ${lists.format(months.map((month) => monthName(Number(month))))}`;
}

/** @param {string[]} hours @param {string[]} minutes */
function atTimes(hours, minutes) {
  if (hours.length === 0) {
    return "";
  }
  const times = hours.flatMap((hour) => (minutes.length > 0 ? minutes : ["0"]).map((minute) => `${hour}:${minute.padStart(2, "0")}`));
  return `at ${lists.format(times)}`;
}

/** @param {Map<string, string>} parts */
function ending(parts) {
  const [count, until] = [parts.get("COUNT"), parts.get("UNTIL")];
  if (count) {
    return count === "1" ? ", once" : `, ${count} times`;
  }
  const found = /^(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)Z)?/.exec(until ?? "");
  if (!found) {
    return "";
  }
  const [, year, month, day, hour, minute, second] = found;
  const date = `${year}-${month}-${day}`;
  return `, until ${nameOfDay(hour ? dayOf(new Date(`${date}T${hour}:${minute}:${second}Z`)) : date)}`;
}
