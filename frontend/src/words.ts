import type { Texts } from "./localize";
import type { Formats } from "./time";
import type { RecordedEvent } from "./types";

export function seconds(event: RecordedEvent): number {
  return Math.max(1, Math.round((event.end - event.start) / 1000));
}

/** Labels by hand, by tasks and of the detector; what stood there before is none. */
export function labels(event: RecordedEvent): string[] {
  const seen = (event.detections ?? []).filter((detection) => !detection.still).map(({ label }) => label);
  return [...new Set([...event.labels, ...seen])];
}

/** What an event is, without its time: what it shows, or else why it was recorded. */
export function facts(event: RecordedEvent, texts: Texts): string[] {
  const shown = labels(event).map((label) => texts.label(label));
  return [
    ...(shown.length ? shown : [texts.reason(event.reason)]),
    `${seconds(event)} s`,
    event.state === "recording" && texts.get("recording"),
    event.protected && texts.get("protected"),
    event.remote && texts.get("remote"),
    event.verdict === "nothing_seen" && texts.get("nothing_seen"),
    ...(event.zones ?? []),
  ].filter((fact): fact is string => Boolean(fact));
}

/** A line about an event: time, reason, length, what is special. */
export function describe(event: RecordedEvent, texts: Texts, formats: Formats): string {
  return [formats.time(event.start), ...facts(event, texts)].join(" · ");
}
