import { DAY, MINUTE } from "./time";
import type { Span } from "./types";

const SHORTEST = MINUTE;

export const within = (at: number, span: Span) => at >= span.start && at <= span.end;
export const length = (span: Span) => span.end - span.start;

/**
 * What of time is shown: a base (a day, a week, the last 24 hours) and the part of it in view.
 *
 * While it follows, the base ends a little after now and moves on with it.
 */
export interface Viewport {
  base: Span;
  view: Span;
  follow: boolean;
}

/** What follows leaves a little room behind now, so that the newest event has its place. */
const ROOM = 0.01;

export function recent(now: number, span = DAY): Viewport {
  const base = { start: now - span, end: now + span * ROOM };
  return { base, view: base, follow: true };
}

export function fixed(base: Span): Viewport {
  return { base, view: base, follow: false };
}

/** Let time go on; the same object where that changes less than a pixel of `width`. */
export function moved(port: Viewport, now: number, width: number): Viewport {
  const by = now - port.base.start - length(port.base) / (1 + ROOM);
  if (!port.follow || Math.abs(by) < length(port.view) / Math.max(1, width)) {
    return port;
  }
  const atEnd = port.view.end >= port.base.end - 1;
  const base = shifted(port.base, by);
  return { ...port, base, view: atEnd || port.view.start < base.start ? shifted(port.view, by) : port.view };
}

function shifted(span: Span, by: number): Span {
  return { start: span.start + by, end: span.end + by };
}

/** Move the view; where it would leave the base, the base comes along, up to `latest`. */
export function panned(port: Viewport, by: number, latest: number): Viewport {
  const end = Math.min(port.view.end + by, Math.max(latest, port.base.end));
  const view = shifted(port.view, end - port.view.end);
  const over = Math.max(0, view.end - port.base.end) + Math.min(0, view.start - port.base.start);
  const base = shifted(port.base, over);
  return { base, view, follow: port.follow && over === 0 };
}

/** Change how much is in view; the instant `around` stays where it is. */
export function zoomed(port: Viewport, factor: number, around: number): Viewport {
  const { start, end } = port.view;
  const size = Math.min(length(port.base), Math.max(SHORTEST, (end - start) * factor));
  const part = (Math.min(end, Math.max(start, around)) - start) / (end - start);
  const left = Math.min(port.base.end - size, Math.max(port.base.start, around - part * size));
  return { ...port, view: { start: left, end: left + size } };
}

/** Have an instant in view. */
export function revealed(port: Viewport, at: number, latest: number): Viewport {
  if (within(at, port.view)) {
    return port;
  }
  return panned(port, at - length(port.view) / 2 - port.view.start, latest);
}
