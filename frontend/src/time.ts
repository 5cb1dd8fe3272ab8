import type { HomeAssistant, Locale, Span } from "./types";

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** The time zone in which the user reads times: the choice in their profile. */
export function timeZone(hass: HomeAssistant): string {
  return hass.locale.time_zone === "server"
    ? hass.config.time_zone
    : Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** `YYYY-MM-DD` of an instant. */
export function localDate(at: number, zone: string): string {
  return new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short" }).format(at);
}

export function shiftDate(date: string, days: number): string {
  return new Date(Date.parse(`${date}T12:00:00Z`) + days * DAY).toISOString().slice(0, 10);
}

/** Instants between which some local dates last: 23, 24 or 25 hours each. */
export function daySpan(date: string, zone: string, days = 1): Span {
  return { start: localInstant(date, 0, zone), end: localInstant(shiftDate(date, days), 0, zone) };
}

/** The instant of a local date and time of day in ms. */
export function localInstant(date: string, timeOfDay: number, zone: string): number {
  const utc = Date.parse(`${date}T00:00:00Z`) + timeOfDay;
  // The offset differs between the two guesses only when the clock changes near it.
  const guess = utc - offset(utc, zone);
  return utc - offset(guess, zone);
}

const offsets = new Map<string, Intl.DateTimeFormat>();

/** What a local clock is ahead of UTC, in ms. */
export function offset(at: number, zone: string): number {
  let format = offsets.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    offsets.set(zone, format);
  }
  const parts = format.formatToParts(at);
  const value = (type: string) => Number(parts.find((part) => part.type === type)!.value);
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

/** A time of day as somebody types it, in ms: `9:30`, `21.15`, `0730`, `9:30 pm`. */
export function readClock(text: string): number | null {
  const found = /^(\d{1,2})(?:[:.h ]?(\d{2}))?\s*(?:([ap])\.?\s?m\.?)?$/i.exec(text.trim());
  if (!found) {
    return null;
  }
  const [hours, minutes] = [Number(found[1]), Number(found[2] ?? 0)];
  const half = found[3]?.toLowerCase();
  const hour = half ? (hours % 12) + (half === "p" ? 12 : 0) : hours;
  return hour < 24 && minutes < 60 ? hour * HOUR + minutes * MINUTE : null;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720].map((step) => step * MINUTE);

/** Marks of the axis inside a span: at most `most`, at round local times, over changes of the clock. */
export function ticks(span: Span, zone: string, most: number): number[] {
  const length = span.end - span.start;
  const step =
    STEPS.find((candidate) => length / candidate <= most) ?? Math.ceil(length / DAY / most) * DAY;
  const marks: number[] = [];
  const first = Math.ceil((span.start + offset(span.start, zone)) / step) * step;
  for (let wall = first; ; wall += step) {
    const at = wall - offset(wall - offset(wall, zone), zone);
    if (at > span.end) {
      break;
    }
    // A time that the clock skips has no mark
    if (at >= span.start && at + offset(at, zone) === wall) {
      marks.push(at);
    }
  }
  return marks;
}

/** How a user writes dates and times. */
export class Formats {
  private readonly formats = new Map<string, Intl.DateTimeFormat>();
  private readonly relativeFormat: Intl.RelativeTimeFormat;
  private readonly plurals: Intl.PluralRules;

  public constructor(
    private readonly locale: Locale,
    public readonly zone: string,
  ) {
    this.relativeFormat = new Intl.RelativeTimeFormat(locale.language, { numeric: "auto", style: "short" });
    this.plurals = new Intl.PluralRules(locale.language);
  }

  /** Whether a number of things is `one` or `other`. */
  public plural(count: number): "one" | "other" {
    return this.plurals.select(count) === "one" ? "one" : "other";
  }

  /** Hours, minutes, seconds. */
  public time(at: number): string {
    return this.format("time", { hour: "numeric", minute: "2-digit", second: "2-digit" }).format(at);
  }

  /** Hours and minutes. */
  public clock(at: number): string {
    return this.format("clock", { hour: "numeric", minute: "2-digit" }).format(at);
  }

  public date(at: number): string {
    const order = { DMY: "dmy", MDY: "mdy", YMD: "ymd" }[this.locale.date_format ?? ""];
    if (!order) {
      return this.format("date", { dateStyle: "medium" }).format(at);
    }
    const parts = this.format("parts", { year: "numeric", month: "2-digit", day: "2-digit" }).formatToParts(at);
    const part = (type: string) => parts.find((found) => found.type === type)!.value;
    const literal = parts.find((found) => found.type === "literal")?.value ?? "/";
    const values: Record<string, string> = { d: part("day"), m: part("month"), y: part("year") };
    return [...order].map((letter) => values[letter]).join(literal.trim() || literal);
  }

  public dateTime(at: number): string {
    return `${this.date(at)} ${this.time(at)}`;
  }

  /** Weekday and date, short: a mark of an axis that spans days. */
  public weekday(at: number): string {
    return this.format("weekday", { weekday: "short", day: "numeric" }).format(at);
  }

  /** `5 min. ago`, `in 2 hr.` */
  public relative(at: number, now: number): string {
    const seconds = (at - now) / 1000;
    const size = Math.abs(seconds);
    const [unit, length]: [Intl.RelativeTimeFormatUnit, number] =
      size < 60 ? ["second", 1] : size < 3600 ? ["minute", 60] : size < 86_400 ? ["hour", 3600] : ["day", 86_400];
    return this.relativeFormat.format(Math.trunc(seconds / length), unit);
  }

  private format(name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
    let format = this.formats.get(name);
    if (!format) {
      const { time_format: clock, language, date_format: dates } = this.locale;
      const timed = "hour" in options;
      const system = timed ? clock === "system" : dates === "system";
      format = new Intl.DateTimeFormat(system ? undefined : language, {
        timeZone: this.zone,
        ...(timed && clock === "12" && { hour12: true }),
        ...(timed && clock === "24" && { hourCycle: "h23" }),
        ...options,
      });
      this.formats.set(name, format);
    }
    return format;
  }
}

let latest: { key: string; formats: Formats } | null = null;

/** The same object as long as the user's choices stay. */
export function formatsOf(hass: HomeAssistant): Formats {
  const zone = timeZone(hass);
  const { language, time_format, date_format } = hass.locale;
  const key = [language, time_format, date_format, zone].join();
  if (latest?.key !== key) {
    latest = { key, formats: new Formats(hass.locale, zone) };
  }
  return latest.formats;
}
