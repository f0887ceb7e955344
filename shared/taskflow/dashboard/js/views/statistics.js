/**
 * One's tasks in numbers: what was completed on each day, and what is open.
 *
 * @import { Location, View } from "../places.js"
 * @import { Message, Priority, Statistics } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { addDays, nameOfWeekday, shortDay, today, wholeDay, weekdayOf } from "../dates.js";
import { live } from "../live.js";
import { barChart, calendarChart } from "../parts/charts.js";
import { router } from "../router.js";
import { session } from "../session.js";
import { store } from "../store.js";
import * as text from "../text.js";
import { update } from "../update.js";

const DAYS = 366;
const PERIODS = [30, 90];
const CALENDAR_WEEKS = 26;
const GATHER_MS = 400;

/** @typedef {{ date: string, count: number }} Day */

/** What was counted last, so that one comes back to it at once. @type {{ userId: string, statistics: Statistics } | null} */
let kept = null;

/** @param {Location} location @returns {View} */
export function makeView({ query }) {
  let period = periodIn(query);
  let isLoading = false;
  /** @type {Error | null} */
  let error = null;
  const [perDay, perWeekday, calendar] = [barChart(), barChart(), calendarChart()];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  async function load() {
    clearTimeout(timer);
    timer = undefined;
    const userId = session.user?.id ?? "";
    isLoading = true;
    try {
      const { body } = await session.request("GET", `statistics?days=${DAYS}`);
      kept = { userId, statistics: body };
      error = null;
    } catch (refused) {
      error = /** @type {Error} */ (refused);
    } finally {
      isLoading = false;
      update();
    }
  }

  /** @param {Message} message */
  function hear({ type }) {
    if (/^(task|recurring|user)\./.test(type)) {
      timer ??= setTimeout(load, GATHER_MS);
    }
  }

  store.messageListeners.add(hear);
  live.backListeners.add(load);
  void load();

  return {
    render() {
      const known = kept?.userId === session.user?.id ? kept?.statistics : undefined;
      if (known && known.completed_per_day.at(-1)?.date !== today() && !isLoading && !error) {
        timer ??= setTimeout(load, GATHER_MS);
      }
      const statistics = known ?? nothingYet();
      const days = statistics.completed_per_day;
      const shown = days.slice(-period);
      return html`<main id="content" class="statistics ${known ? "" : "is-unknown"}" aria-busy=${!known && !error}>
        <header class="view-head">
          <h1 tabindex="-1">Statistics</h1>
          <div class="switch" role="group" aria-label="Of how many days">
            ${PERIODS.map(
              (each) => html`<button type="button" aria-pressed=${each === period} @click=${() => choose(each)}>${each} days</button>`,
            )}
          </div>
        </header>
        ${error && !known
          ? html`<div class="empty" role="alert"><p>${error.message}</p><button type="button" @click=${load}>Try again</button></div>`
          : html`${figures(statistics)}
            <section class="card">${perDay.render(perDayOf(shown))}</section>
            <div class="cards">
              <section class="card">${openByPriority(statistics)}</section>
              <section class="card">${perWeekday.render(perWeekdayOf(shown))}</section>
            </div>
            <section class="card">${calendar.render(calendarOf(days))}</section>
            <p class="muted zone">Days begin at midnight in ${statistics.timezone.replaceAll("_", " ")}.</p>`}
      </main>`;
    },
    moved(location) {
      period = periodIn(location.query);
    },
    left() {
      clearTimeout(timer);
      store.messageListeners.delete(hear);
      live.backListeners.delete(load);
    },
  };
}

/** @param {number} period */
function choose(period) {
  router.go(period === PERIODS[0] ? "/statistics" : `/statistics?days=${period}`, { replace: true });
}

/** @param {URLSearchParams} query */
function periodIn(query) {
  return PERIODS.find((each) => String(each) === query.get("days")) ?? /** @type {number} */ (PERIODS[0]);
}

/** @param {Statistics} statistics */
function figures({ completed_per_day: days, open_by_priority: open, overdue }) {
  const week = total(days.slice(-7));
  const before = total(days.slice(-14, -7));
  const { current, longest } = streaks(days);
  return html`<dl class="figures">
    ${figure("Completed today", days.at(-1)?.count ?? 0, `${days.at(-2)?.count ?? 0} yesterday`)}
    ${figure("Last 7 days", week, `${before} the week before`)}
    ${figure("Streak", text.counted(current, "day"), `${text.counted(longest, "day")} at the longest`)}
    ${figure("Open", sum(Object.values(open)), overdue > 0 ? html`<a href="/">${overdue} overdue</a>` : "nothing overdue")}
  </dl>`;
}

/** @param {string} name @param {number | string} value @param {unknown} detail */
function figure(name, value, detail) {
  return html`<div>
    <dt>${name}</dt>
    <dd><strong>${value}</strong><small>${detail}</small></dd>
  </div>`;
}

/** @param {Day[]} shown */
function perDayOf(shown) {
  const all = total(shown);
  const middle = shown[Math.floor(shown.length / 2)];
  return {
    title: "Completed per day",
    summary: all === 0 ? "None yet" : `${all} in ${shown.length} days, ${rounded(all / shown.length)} a day`,
    columns: /** @type {const} */ (["Day", "Completed"]),
    points: shown.map(({ date, count }) => ({ label: wholeDay(date), value: count, text: `${shortDay(date)}: ${count}` })),
    below: html`<div class="chart-ends" aria-hidden="true">
      ${[shown[0], middle].map((day) => html`<span>${day ? shortDay(day.date) : nothing}</span>`)}<span>Today</span>
    </div>`,
  };
}

/** @param {Day[]} shown */
function perWeekdayOf(shown) {
  const counted = weekdays().map((weekday) => {
    const same = shown.filter(({ date }) => weekdayOf(date) === weekday);
    return { weekday, average: same.length === 0 ? 0 : total(same) / same.length };
  });
  const best = counted.reduce((one, other) => (other.average > one.average ? other : one));
  return {
    title: "By weekday",
    summary: best.average === 0 ? "None yet" : `Most on ${nameOfWeekday(best.weekday, "long")}s`,
    columns: /** @type {const} */ (["Day of the week", "Completed on average"]),
    points: counted.map(({ weekday, average }) => ({
      label: nameOfWeekday(weekday, "long"),
      value: Number(rounded(average)),
      text: `${nameOfWeekday(weekday, "long")}s: ${rounded(average)} each`,
    })),
    below: html`<div class="chart-names" aria-hidden="true">
      ${counted.map(({ weekday }) => html`<span>${nameOfWeekday(weekday, "short")}</span>`)}
    </div>`,
  };
}

/** @param {Day[]} days */
function calendarOf(days) {
  const last = days.at(-1)?.date ?? today();
  const inWeek = weekdays().indexOf(weekdayOf(last)) + 1;
  const shown = days.slice(-(inWeek + (CALENDAR_WEEKS - 1) * 7));
  const { current } = streaks(days);
  return {
    title: "Half a year",
    summary: current > 1 ? `${current} days in a row` : `${text.counted(shown.filter(({ count }) => count > 0).length, "day")} with something done`,
    columns: /** @type {const} */ (["Day", "Completed"]),
    points: shown.map(({ date, count }) => ({ label: wholeDay(date), value: count, text: `${shortDay(date)}: ${count}` })),
  };
}

/** @param {Statistics} statistics */
function openByPriority({ open_by_priority: open }) {
  const most = Math.max(1, ...Object.values(open));
  return html`<div class="chart">
    <h2>Open by priority</h2>
    <ul class="shares" role="list">
      ${Object.entries(text.PRIORITIES).map(([priority, name]) => {
        const count = open[/** @type {Priority} */ (priority)];
        return html`<li data-priority=${priority}>
          <a href=${`/all?priority=${priority}`}>
            <span>${name}</span>
            <svg aria-hidden="true" focusable="false"><rect width="${(100 * count) / most}%" height="100%" rx="4"></rect></svg>
            <strong>${count}</strong>
          </a>
        </li>`;
      })}
    </ul>
  </div>`;
}

/**
 * Return how many days in a row something was completed, up to now and at most. Today counts as soon as
 * something is, and ends no streak before.
 *
 * @param {Day[]} days
 */
function streaks(days) {
  let [current, longest] = [0, 0];
  days.forEach(({ count }, index) => {
    const isOpen = index === days.length - 1 && count === 0;
    current = count > 0 ? current + 1 : isOpen ? current : 0;
    longest = Math.max(longest, current);
  });
  return { current, longest };
}

/** The days of the week in the order of the user's place. */
function weekdays() {
  const locale = /** @type {any} */ (new Intl.Locale(navigator.language));
  const { firstDay } = locale.getWeekInfo?.() ?? locale.weekInfo ?? { firstDay: 1 };
  return [0, 1, 2, 3, 4, 5, 6].map((each) => (firstDay + each) % 7);
}

/** What stands there until it is counted: as much of it, with nothing in it. @returns {Statistics} */
function nothingYet() {
  const last = today();
  return {
    open_by_priority: { urgent: 0, high: 0, medium: 0, low: 0 },
    overdue: 0,
    completed_per_day: Array.from({ length: DAYS }, (_, index) => ({ date: addDays(last, index + 1 - DAYS), count: 0 })),
    open_by_tag: [],
    timezone: session.user?.timezone ?? "UTC",
  };
}

/** @param {Day[]} days */
function total(days) {
  return sum(days.map(({ count }) => count));
}

/** @param {number[]} numbers */
function sum(numbers) {
  return numbers.reduce((before, each) => before + each, 0);
}

/** @param {number} number */
function rounded(number) {
  return number.toFixed(number >= 10 ? 0 : 1).replace(/\.0$/, "");
}
