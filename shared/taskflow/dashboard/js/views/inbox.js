/**
 * The inbox: all that the user was told.
 *
 * @import { View } from "../places.js"
 * @import { Notification } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { repeat } from "../../vendor/directives/repeat.js";
import { Unreachable } from "../api.js";
import { dayOf, nameOfDay, timeLabel, wholeTime } from "../dates.js";
import { inbox } from "../inbox.js";
import { icon } from "../parts/icons.js";
import * as text from "../text.js";
import { afterRender } from "../update.js";

const NEAR_PX = 800;
const LATE_S = 300;

/** @returns {View} */
export function makeView() {
  const atEnd = () => {
    if (document.documentElement.scrollHeight - scrollY - innerHeight < NEAR_PX) {
      inbox.more();
    }
  };
  addEventListener("scroll", atEnd, { passive: true });
  const stop = afterRender(atEnd);
  return {
    render() {
      const found = inbox.list();
      return html`<main id="content">
        <header class="view-head">
          <h1 tabindex="-1">Inbox ${inbox.unread > 0 ? html`<small>${inbox.unreadLabel} unread</small>` : nothing}</h1>
          <div class="view-tools">
            ${inbox.unread > 0
              ? html`<button type="button" class="quiet" ?disabled=${inbox.isReadingAll} @click=${() => void inbox.readAll()}>
                  ${icon("check")} Mark all as read
                </button>`
              : nothing}
          </div>
        </header>
        ${found.length > 0 ? html`<ul class="notifications" role="list">${repeat(found, ({ id }) => id, row)}</ul>` : nothing}
        ${below(found.length)}
      </main>`;
    },
    left() {
      removeEventListener("scroll", atEnd);
      stop();
    },
  };
}

/** @param {Notification} notification */
function row(notification) {
  const { id, task_id: taskId, read_at: readAt, title, message } = notification;
  const isUnread = readAt === null;
  const read = () => void inbox.read(id);
  const shown = title ?? message ?? text.UNTITLED;
  return html`<li class="notification ${isUnread ? "is-unread" : ""}">
    ${taskId === null
      ? html`<div class="notification-body">${body(notification)}</div>`
      : html`<a class="notification-body" href=${`/tasks/${taskId}`} @click=${read}>${body(notification)}</a>`}
    ${isUnread
      ? html`<button type="button" class="quiet round" aria-label=${`Mark as read: ${shown}`} title="Mark as read" @click=${read}>${icon("check")}</button>`
      : nothing}
  </li>`;
}

/** @param {Notification} notification */
function body({ reminder_id: reminderId, task_id: taskId, title, message, created_at: at, late_by_s: lateS, read_at: readAt }) {
  const when = new Date(at);
  const kind = reminderId === null ? (taskId === null ? "Message" : "News") : "Reminder";
  return html`<span class="notification-title" dir="auto">${title ?? message ?? text.UNTITLED}</span>
    ${title && message ? html`<span class="notification-message" dir="auto">${message}</span>` : nothing}
    <span class="notification-meta">
      ${readAt === null ? html`<span class="only-read">Unread.</span>` : nothing}
      ${icon(reminderId === null ? "inbox" : "bell")} ${kind} ·
      <time datetime=${at} title=${wholeTime(at)}>${nameOfDay(dayOf(when))} ${timeLabel(when)}</time>
      ${(lateS ?? 0) > LATE_S ? html`· ${text.late(/** @type {number} */ (lateS))}` : nothing}
    </span>`;
}

/** What stands below: that there is nothing, that more comes, that it failed. @param {number} count */
function below(count) {
  if (inbox.error && !(inbox.error instanceof Unreachable && count > 0)) {
    return html`<div class="empty" role="alert">
      <p>${inbox.error.message}</p>
      <button type="button" @click=${() => inbox.retry()}>Try again</button>
    </div>`;
  }
  if (count > 0) {
    return inbox.loading && inbox.cursor ? html`<p class="loading" role="status">Loading more…</p>` : nothing;
  }
  if (inbox.cursor === undefined) {
    return html`<div class="skeletons" role="status" aria-label="Loading">
      ${[55, 70, 40].map((width) => html`<div class="skeleton"><span .style=${`width: ${width}%`}></span></div>`)}
    </div>`;
  }
  return html`<div class="empty">
    <span class="empty-icon">${icon("inbox")}</span>
    <p>Nothing here yet.</p>
    <p class="muted">Reminders come here, also those that you have missed. <a href="/settings#notifications">How you are told</a></p>
  </div>`;
}
