import type { RecordedEvent } from "./types";
import { labels } from "./words";

export const NOTHING_SEEN = "nothing_seen";
/** Reasons of what is no event of its own. */
export const CONTINUOUS = "continuous";
export const CHECK_IN = "check_in";

export interface Filters {
  cameras: readonly string[];
  labels: readonly string[];
  zones: readonly string[];
  reasons: readonly string[];
  protected: boolean;
  unseen: boolean;
  nothingSeen: boolean;
  continuous: boolean;
}

export const NO_FILTERS: Filters = {
  cameras: [],
  labels: [],
  zones: [],
  reasons: [],
  protected: false,
  unseen: false,
  nothingSeen: false,
  continuous: false,
};

export function toggled(list: readonly string[], item: string): string[] {
  return list.includes(item) ? list.filter((other) => other !== item) : [...list, item];
}

function passes(event: RecordedEvent, filters: Filters, seen: (event: RecordedEvent) => boolean): boolean {
  return (
    event.reason !== CHECK_IN &&
    (event.reason !== CONTINUOUS || filters.continuous) &&
    (event.verdict !== NOTHING_SEEN || filters.nothingSeen) &&
    (!filters.labels.length || labels(event).some((label) => filters.labels.includes(label))) &&
    (!filters.zones.length || (event.zones ?? []).some((zone) => filters.zones.includes(zone))) &&
    (!filters.reasons.length || filters.reasons.includes(event.reason)) &&
    (!filters.protected || event.protected) &&
    (!filters.unseen || !seen(event))
  );
}

/** A camera's events by what is to be shown of them. */
export interface Shown {
  events: readonly RecordedEvent[];
  /** Continuous recording, drawn as a band behind them. */
  bands: readonly RecordedEvent[];
}

const NOTHING: Shown = { events: [], bands: [] };

/** Filters lists; the same list gives the same object until something that matters has changed. */
export class FilteredLists {
  private readonly known = new Map<string, { list: readonly RecordedEvent[]; key: string; shown: Shown }>();

  public get(
    camera: string,
    list: readonly RecordedEvent[] | undefined,
    filters: Filters,
    seen: { version: number; has(event: RecordedEvent): boolean },
  ): Shown {
    if (!list || (filters.cameras.length && !filters.cameras.includes(camera))) {
      return NOTHING;
    }
    const key = JSON.stringify([filters, filters.unseen && seen.version]);
    const known = this.known.get(camera);
    if (known?.list === list && known.key === key) {
      return known.shown;
    }
    const shown = {
      events: list.filter((event) => passes(event, filters, (one) => seen.has(one))),
      bands: filters.continuous ? [] : list.filter((event) => event.reason === CONTINUOUS),
    };
    this.known.set(camera, { list, key, shown });
    return shown;
  }
}
