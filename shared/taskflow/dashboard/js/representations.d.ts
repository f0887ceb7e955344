/** What the API answers, as docs/openapi.json describes it. */

export type Status = "pending" | "in_progress" | "completed" | "cancelled";
export type Priority = "low" | "medium" | "high" | "urgent";

export interface Task {
  id: string;
  user_id: string;
  title: string;
  description: string | null;
  status: Status;
  completed: boolean;
  priority: Priority;
  tags: string[];
  metadata: Record<string, unknown>;
  due_date: string | null;
  recurrence_rule: string | null;
  is_recurring: boolean;
  next_occurrence: string | null;
  completed_at: string | null;
  created_at: string;
  updated_at: string;
  version: number;
  recurring_task_id: string | null;
  occurrence_at: string | null;
  /** Made here, and not sent yet: its id is not the server's. */
  is_draft?: boolean;
}

/** A task that was found, and where it matches, as HTML. */
export interface FoundTask extends Task {
  highlights: { title?: string; description?: string };
}

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface User {
  id: string;
  email: string | null;
  timezone: string;
}

export interface Tokens {
  user: User;
  access_token: string;
  refresh_token: string;
  token_type: "Bearer";
  expires_in: number;
}

export interface Settings {
  timezone: string;
  notification_channels: string[];
  quiet_hours: { start: string; end: string } | null;
  email_digest: boolean;
}

export interface Notification {
  id: string;
  user_id: string;
  task_id: string | null;
  reminder_id: string | null;
  title: string | null;
  message: string | null;
  late_by_s: number | null;
  created_at: string;
  read_at: string | null;
}

export type Channel = "email" | "push" | "web_push";

export interface Destination {
  id: string;
  channel: Channel;
  address: string;
  state: "unconfirmed" | "active" | "disabled";
  created_at: string;
  failing_since: string | null;
  disabled_because: string | null;
}

export interface LoginSession {
  id: string;
  created_at: string;
  last_used_at: string;
  expires_at: string;
  client: string | null;
  current: boolean;
}

export interface Webhook {
  id: string;
  url: string;
  event_types: string[] | null;
  description: string | null;
  enabled: boolean;
  created_at: string;
  failing_since: string | null;
  disabled_because: string | null;
}

export interface WebhookMessage {
  id: string;
  event_id: string | null;
  event_type: string | null;
  seq: number | null;
  state: "pending" | "sent" | "failed" | "cancelled";
  failures: number;
  created_at: string;
  due_at: string;
  settled_at: string | null;
  reason: string | null;
}

export interface Statistics {
  open_by_priority: Record<Priority, number>;
  overdue: number;
  completed_per_day: { date: string; count: number }[];
  open_by_tag: { tag: string; count: number }[];
  timezone: string;
}

export interface Reminder {
  id: string;
  task_id: string;
  remind_at: string;
  before_due: string | null;
  message: string | null;
  status: "scheduled" | "triggered" | "sent" | "cancelled";
}

export interface Series {
  recurrence_rule: string;
  start: string;
  timezone: string | null;
  mode: "schedule" | "after_completion";
  missed: "all" | "latest" | "skip";
  skip: "backward" | "omit" | "forward";
  next_occurrence: string | null;
}

/** An occurrence of a series that is not set yet. */
export interface Previewed {
  local: string | null;
  utc: string | null;
  fate: "kept" | "moved" | "skipped";
  reason: string | null;
}

/** An event, as the history has it. */
export interface HistoryEvent {
  event_id: string;
  event_type: string;
  timestamp: string;
  seq: number;
  data: Record<string, any>;
}

/** A message of the stream (docs/events.md). */
export interface Message {
  type: string;
  data: Record<string, unknown>;
  timestamp: string;
  correlation_id: string;
  seq: number;
  event_id: string;
}

export interface Part {
  kind: "date" | "time" | "recurrence" | "priority" | "tag" | "reminder" | "escape";
  text: string;
  start: number;
  end: number;
}

export interface PreviewedReminder {
  remind_at: string | null;
  before_due: string | null;
  message: string | null;
}

export interface Preview {
  task: Task & { reminders?: PreviewedReminder[] };
  parts: Part[];
  default_kinds: Part["kind"][];
}

export interface WrongField {
  pointer: string;
  detail: string;
}

/** A change that is to be sent, or was sent and not answered yet. */
export interface Change {
  /** The Idempotency-Key, and the id of a draft made by it. */
  key: string;
  method: "POST" | "PATCH" | "PUT" | "DELETE";
  /** Below `/api/`; `{task_id}` stands for `task_id`. */
  path: string;
  body: Record<string, unknown> | null;
  task_id: string | null;
  /** What it makes of its task, shown until it is answered; null where that goes. */
  becomes: Partial<Task> | null;
  if_match: string | null;
  /** What its user saw of the fields that it changes: where they are so still, it clashes with nothing. */
  before?: Partial<Task>;
  /** By which what was queued first is sent first; set as it is kept. */
  number?: number;
}

export interface SystemState {
  counted_at: string;
  events_per_minute: number[];
  unpublished: number | null;
  dead_letters: number;
  consumers: { name: string; waiting: number; redeliveries: number; dead_letters: number }[];
  most: number;
}

export interface DeadLetter {
  id: string;
  consumer: string;
  event_id: string;
  event_type: string;
  user_id: string | null;
  seq: number | null;
  error_code: number | null;
  error_text: string;
  state: "dead" | "resent" | "discarded" | "delivered";
  received_at: string;
  deaths: number;
  attributes?: Record<string, unknown>;
  body?: string;
}

export interface AuditEntry {
  event_id: string;
  event_type: string;
  user_id: string;
  aggregate_id: string;
  task_id: string | null;
  timestamp: string;
  correlation_id: string;
  version: number;
  seq: number;
  actor: string;
  origin: string;
}

export interface Verification {
  ok: boolean;
  events: number;
  entries: number;
  erased_events: number;
  erased_users: number;
  broken_chains: { user_id: string; seq: number }[];
  differing_entries: { user_id: string; seq: number }[];
}

export interface Replay {
  id: string;
  to: "shadow" | "topic";
  user_id: string | null;
  state: "waiting" | "running" | "stalled" | "done" | "cancelled";
  phase: string;
  created_at: string;
  events_total: number;
  events_done: number;
  equal: boolean | null;
  tasks_same: number;
  tasks_differing: number;
  tasks_only_live: number;
  tasks_only_rebuilt: number;
  differences?: { task_id: string; user_id: string; kind: string; fields: string[] }[];
}
