// An independent answer to "when are the occurrences of this series?", for tests.
//
// Reads a series per line, {rule, start, zone, skip, limit}, and writes its first occurrences,
// {local, utc}, of 80 years at most. The days come from the npm package rrule, the offsets of zones from ICU; what
// requirements R3 and R4 ask for beyond RFC 5545 is spelled out here. BYDAY must have either only
// numbered weekdays or none: rrule takes a mixture for a condition, where RFC 5545 adds them up.

import { createInterface } from "node:readline";
import rrule from "rrule";

const DAY_MS = 86_400_000;
const WEEKDAYS = ["SU", "MO", "TU", "WE", "TH", "FR", "SA"];

// Wall time is kept in the UTC fields of a Date.
const wallOf = (text) => new Date(`${text}Z`);
const textOf = (wall) => wall.toISOString().slice(0, 19);
const partsOf = (rule) => Object.fromEntries(rule.split(";").map((part) => part.split("=")));
const ruleOf = (parts) => Object.entries(parts).map((part) => part.join("=")).join(";");
const numbers = (text) => (text ? text.split(",").map(Number) : []);

const formats = new Map();

function wallTimeAt(instant, zone) {
  if (!formats.has(zone)) {
    const fields = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit" };
    const options = { ...fields, minute: "2-digit", second: "2-digit", hourCycle: "h23" };
    formats.set(zone, new Intl.DateTimeFormat("en-US", { timeZone: zone, ...options }));
  }
  const found = {};
  for (const { type, value } of formats.get(zone).formatToParts(instant)) found[type] = value;
  const { year, month, day, hour, minute, second } = found;
  return wallOf(`${year.padStart(4, "0")}-${month}-${day}T${hour}:${minute}:${second}`);
}

// R3: of two instants with this wall time the first; in a gap, the offset from before it, which
// moves the wall time forward by the gap.
function instantOf(wall, zone) {
  const offset = (instant) => wallTimeAt(instant, zone) - instant;
  const before = offset(new Date(+wall - 1.5 * DAY_MS));
  const after = offset(new Date(+wall + 1.5 * DAY_MS));
  const candidates = [wall - before, wall - after].sort((one, two) => one - two);
  const exact = candidates.find((each) => +wallTimeAt(new Date(each), zone) === +wall);
  return new Date(exact ?? wall - before);
}

// As far as answers go; the days of a last period are all needed.
const HORIZON_MS = 80 * 365 * DAY_MS;
const LAST_PERIOD_MS = 2 * 365 * DAY_MS;

function* daysByRrule(parts, start) {
  const options = rrule.RRule.parseString(ruleOf(parts));
  const until = new Date(+start + HORIZON_MS + LAST_PERIOD_MS);
  const rule = new rrule.RRule({ ...options, dtstart: start, until });
  let after = new Date(+start - 1);
  // In batches, each from the start: rrule hands its results to a callback only.
  for (let wanted = 32; ; wanted *= 8) {
    const days = rule.all((_, index) => index < wanted);
    for (const day of days) if (day > after) yield (after = day);
    if (days.length < wanted) return;
  }
}

// BYSETPOS is left to the code here, for rrule cuts the first week off at the start, and takes the
// first of fewer days for the -2nd of one.
function* daysByPosition({ BYSETPOS, ...parts }, start) {
  const first = new Date(start);
  const weekStart = WEEKDAYS.indexOf(parts.WKST ?? "MO");
  if (parts.FREQ === "WEEKLY") {
    parts.BYDAY ??= WEEKDAYS[start.getUTCDay()];
    first.setUTCDate(first.getUTCDate() - ((first.getUTCDay() - weekStart + 7) % 7));
  } else if (parts.FREQ !== "DAILY") {
    if (!parts.BYDAY && !parts.BYMONTHDAY) parts.BYMONTHDAY = start.getUTCDate();
    first.setUTCDate(1);
    if (parts.FREQ === "YEARLY") first.setUTCMonth(0);
  }
  const periodOf = {
    DAILY: (day) => +day,
    WEEKLY: (day) => Math.floor((day - first) / DAY_MS / 7),
    MONTHLY: (day) => day.getUTCFullYear() * 12 + day.getUTCMonth(),
    YEARLY: (day) => day.getUTCFullYear(),
  }[parts.FREQ];
  let days = [];
  for (const day of daysByRrule(parts, first)) {
    if (days.length && periodOf(day) !== periodOf(days[0])) {
      yield* chosen(days, BYSETPOS);
      days = [];
    }
    days.push(day);
  }
  yield* chosen(days, BYSETPOS);
}

function chosen(days, BYSETPOS) {
  const unique = [...new Set(days.map(Number))].sort((one, two) => one - two);
  const positions = numbers(BYSETPOS).map((each) => (each > 0 ? each - 1 : unique.length + each));
  const kept = BYSETPOS ? unique.filter((_, index) => positions.includes(index)) : unique;
  return kept.map((each) => new Date(each));
}

// R4: the months come from rrule, asked for their first days; which days of them are wanted, where
// a missing one goes, and what BYDAY and BYSETPOS leave of them follows here, in the order of
// RFC 7529 4.1.
function* daysBySkip(parts, start, skip) {
  const { BYMONTHDAY, BYDAY, BYSETPOS, ...others } = parts;
  const wanted = BYMONTHDAY ? numbers(BYMONTHDAY) : [start.getUTCDate()];
  const yearly = parts.FREQ === "YEARLY";
  if (yearly && !BYMONTHDAY) others.BYMONTH ??= `${start.getUTCMonth() + 1}`;
  const firstOfPeriod = new Date(start);
  firstOfPeriod.setUTCDate(1);
  if (yearly) firstOfPeriod.setUTCMonth(0);

  const byWeekday = (day) => {
    if (!BYDAY) return true;
    const inYear = yearly && !parts.BYMONTH;
    const year = day.getUTCFullYear();
    const month = day.getUTCMonth();
    const date = Date.UTC(year, month, day.getUTCDate());
    const first = inYear ? Date.UTC(year, 0, 1) : Date.UTC(year, month, 1);
    const last = inYear ? Date.UTC(year, 11, 31) : Date.UTC(year, month + 1, 0);
    const nth = Math.floor((date - first) / DAY_MS / 7) + 1;
    const nthLast = -Math.floor((last - date) / DAY_MS / 7) - 1;
    return BYDAY.split(",").some((each) => {
      const number = Number(each.slice(0, -2));
      const same = each.slice(-2) === WEEKDAYS[day.getUTCDay()];
      return same && (number === 0 || number === nth || number === nthLast);
    });
  };

  const daysOfMonth = (month) => {
    const length = new Date(Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1, 0)).getUTCDate();
    const days = wanted.map((number) => {
      const valid = Math.abs(number) <= length;
      // The numbers of days in and around the month: 0 is the day before it, length + 1 after it.
      if (valid) return number > 0 ? number : length + 1 + number;
      if (skip === "omit") return null;
      return (number > 0 ? length : 0) + (skip === "forward" ? 1 : 0);
    });
    return days.filter((day) => day !== null).map((day) => new Date(+month + (day - 1) * DAY_MS));
  };

  let period = null;
  let days = [];
  let previous = 0;
  const release = function* () {
    for (const day of chosen(days.filter(byWeekday), BYSETPOS)) {
      if (+day !== previous) yield day;
      previous = +day;
    }
  };
  for (const day of daysByRrule({ ...others, BYMONTHDAY: 1 }, firstOfPeriod)) {
    const itsPeriod = day.getUTCFullYear() * 12 + (yearly ? 0 : day.getUTCMonth());
    if (itsPeriod !== period) {
      yield* release();
      [period, days] = [itsPeriod, []];
    }
    days.push(...daysOfMonth(day));
  }
  yield* release();
}

function untilOf(text, zone) {
  if (!text) return () => false;
  const iso = text.replace(/^(\d{4})(\d\d)(\d\d)/, "$1-$2-$3").replace(/T(\d\d)(\d\d)/, "T$1:$2:");
  if (text.endsWith("Z")) return (_, instant) => instant > new Date(iso);
  const last = text.includes("T") ? wallOf(iso) : wallOf(`${iso}T23:59:59`);
  return (wall) => wall > last;
}

export function occurrences({ rule, start, zone, skip, limit }) {
  const { COUNT, UNTIL, ...parts } = partsOf(rule);
  const first = wallOf(start);
  const isOver = untilOf(UNTIL, zone);
  const count = Math.min(limit, COUNT ? Number(COUNT) : limit);
  const moves = ["MONTHLY", "YEARLY"].includes(parts.FREQ) && (parts.BYMONTHDAY || !parts.BYDAY);
  const byRule = parts.BYSETPOS ? daysByPosition : daysByRrule;
  const days = moves && skip !== "omit" ? daysBySkip(parts, first, skip) : byRule(parts, first);
  // R4: the task itself is the first occurrence, whether the rule matches it or not.
  const found = [instantOf(first, zone)];
  for (const wall of days) {
    const instant = instantOf(wall, zone);
    if (found.length >= count || wall - first > HORIZON_MS || isOver(wall, instant)) break;
    // R3: two that fall on one instant count once.
    if (wall > first && instant > found.at(-1)) found.push(instant);
  }
  return {
    local: found.map((each) => textOf(wallTimeAt(each, zone))),
    utc: found.map((each) => `${textOf(each)}Z`),
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(occurrences(JSON.parse(line)))}\n`);
}
