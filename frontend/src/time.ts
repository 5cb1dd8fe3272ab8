import type { HomeAssistant, Span } from "./types";

const HOUR = 3_600_000;

/** The time zone in which the user reads times: his profile's choice. */
export function timeZone(hass: HomeAssistant): string {
  return hass.locale.time_zone === "server"
    ? hass.config.time_zone
    : Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** Whether the user reads times with am and pm; undefined = as usual in his language. */
export function hour12(hass: HomeAssistant): boolean | undefined {
  const { time_format: format } = hass.locale;
  return format === "12" ? true : format === "24" ? false : undefined;
}

/** `YYYY-MM-DD` of an instant. */
export function localDate(at: number, zone: string): string {
  return new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short" }).format(at);
}

export function shiftDate(date: string, days: number): string {
  return new Date(Date.parse(`${date}T12:00:00Z`) + days * 24 * HOUR).toISOString().slice(0, 10);
}

/** Instants between which a local date lasts: 23, 24 or 25 hours. */
export function daySpan(date: string, zone: string): Span {
  return { start: midnight(date, zone), end: midnight(shiftDate(date, 1), zone) };
}

function midnight(date: string, zone: string): number {
  const utc = Date.parse(`${date}T00:00:00Z`);
  // The offset differs between the two guesses only when the clock changes near midnight.
  let at = utc - offset(utc, zone);
  at = utc - offset(at, zone);
  return at;
}

function offset(at: number, zone: string): number {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  }).formatToParts(at);
  const value = (type: string) => Number(parts.find((part) => part.type === type)?.value);
  const wall = Date.UTC(
    value("year"),
    value("month") - 1,
    value("day"),
    value("hour"),
    value("minute"),
    value("second"),
  );
  return wall - Math.floor(at / 1000) * 1000;
}

/** Marks of the axis inside a span: at most `most`, at round local hours or minutes. */
export function ticks(span: Span, zone: string, most: number): number[] {
  const length = span.end - span.start;
  const step =
    [1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720]
      .map((minutes) => minutes * 60_000)
      .find((candidate) => length / candidate <= most) ?? 12 * HOUR;
  const shift = offset(span.start, zone);
  const first = Math.ceil((span.start + shift) / step) * step - shift;
  const marks: number[] = [];
  for (let at = first; at <= span.end; at += step) {
    marks.push(at);
  }
  return marks;
}
