import { errorText, fetchEvents, type Notice } from "./api";
import { now } from "./clock";
import type { Feed } from "./feed";
import { DAY } from "./time";
import type { RecordedEvent, Span } from "./types";

const RETRY_FIRST = 2_000;
const RETRY_MOST = 60_000;
const MOST = 31 * DAY;

/** The last event that starts at or before an instant; `events` ascend by start. -1 = none. */
export function lastStarting(events: readonly RecordedEvent[], at: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events[middle].start <= at) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low - 1;
}

/** Put events into an ascending list, in the place of those with the same id. */
export function merged(list: readonly RecordedEvent[], news: readonly RecordedEvent[]): RecordedEvent[] {
  const ids = new Set(news.map((event) => event.id));
  const rest = list.filter((event) => !ids.has(event.id));
  const sorted = [...news].sort((one, two) => one.start - two.start);
  if (!rest.length || (sorted.length && sorted[0].start >= rest[rest.length - 1].start)) {
    return [...rest, ...sorted];
  }
  if (sorted.length && sorted[sorted.length - 1].start < rest[0].start) {
    return [...sorted, ...rest];
  }
  return [...rest, ...sorted].sort((one, two) => one.start - two.start);
}

/**
 * The events of some cameras in one stretch of time, ascending by start.
 *
 * A camera's list is another object exactly when something in it has changed.
 */
export class EventStore {
  public lists = new Map<string, RecordedEvent[]>();
  public loading = false;
  /** Why the last load failed, in words. */
  public error: string | null = null;
  /** Milliseconds that the last load took, from asking to having all. */
  public loads = 0;

  private cameras: string[] = [];
  /** What is loaded; without a gap, and to the newest once `end` has been reached. */
  private range: Span | null = null;
  private wanted: Span | null = null;
  private run = 0;
  private stale = false;
  private touched = new Map<string, RecordedEvent | null>();
  private retry: number | undefined;
  private delay = RETRY_FIRST;

  public constructor(
    private readonly feed: Feed,
    private readonly changed: () => void,
    private readonly complete: () => void,
  ) {}

  public get count(): number {
    return [...this.lists.values()].reduce((sum, list) => sum + list.length, 0);
  }

  /** Show these cameras; events of others are dropped. */
  public setCameras(cameras: string[]): void {
    if (cameras.join() !== this.cameras.join()) {
      this.cameras = cameras;
      this.lists = new Map(cameras.map((id) => [id, this.lists.get(id) ?? []]));
      this.refresh();
    }
  }

  /** Have the events of a span; what is missing is loaded. */
  public want(span: Span): void {
    this.wanted = span;
    if (!this.loading) {
      if (this.missing()) {
        void this.load();
      } else {
        this.changed();
        this.complete();
      }
    }
  }

  /** Load again what is shown: there may have been news that nobody sent. */
  public refresh(): void {
    this.stale = true;
    this.run++;
    window.clearTimeout(this.retry);
    void this.load();
  }

  public stop(): void {
    this.run++;
    this.loading = false;
    window.clearTimeout(this.retry);
  }

  /** Forget what begins long before what is shown. */
  public trim(before: number): void {
    if (!this.range || this.range.start >= before || this.loading) {
      return;
    }
    this.range = { ...this.range, start: before };
    for (const [camera, list] of this.lists) {
      const kept = list.findIndex((event) => event.end >= before);
      if (kept) {
        this.lists.set(camera, kept < 0 ? [] : list.slice(kept));
      }
    }
  }

  public noticed(notice: Notice): void {
    const { event } = notice;
    const list = this.lists.get(event.camera);
    if (!list) {
      return;
    }
    const news = notice.type === "event_deleted" ? null : notice.event;
    this.touched.set(event.id, news);
    const others = list.filter((known) => known.id !== event.id);
    if (news && this.range && news.end >= this.range.start && news.start <= this.range.end) {
      others.splice(lastStarting(others, news.start) + 1, 0, news);
    } else if (others.length === list.length) {
      return;
    }
    this.lists.set(event.camera, others);
    this.lists = new Map(this.lists);
    this.changed();
  }

  public find(id: string): RecordedEvent | undefined {
    for (const list of this.lists.values()) {
      const event = list.find((known) => known.id === id);
      if (event) {
        return event;
      }
    }
    return undefined;
  }

  /** Whether an event would be in the lists if it were there. */
  public covers(event: RecordedEvent): boolean {
    const { range } = this;
    return range !== null && this.lists.has(event.camera) && event.start <= range.end && event.end >= range.start;
  }

  /** The stretch that is missing, and whether it replaces all that is there. */
  private missing(): { span: Span; replaces: boolean } | null {
    const { range, wanted } = this;
    if (!wanted) {
      return null;
    }
    if (!range || this.stale) {
      return { span: wanted, replaces: true };
    }
    const length = Math.max(range.end, wanted.end) - Math.min(range.start, wanted.start);
    if (wanted.start > range.end || wanted.end < range.start || (range.end < Infinity && length > MOST)) {
      return { span: wanted, replaces: true };
    }
    if (wanted.start < range.start) {
      return { span: { start: wanted.start, end: range.start }, replaces: false };
    }
    if (wanted.end > range.end) {
      return { span: { start: range.end, end: wanted.end }, replaces: false };
    }
    return null;
  }

  private async load(): Promise<void> {
    const missing = this.missing();
    if (!missing || !this.feed.live) {
      if (this.loading && !missing) {
        this.loading = false;
        this.changed();
      }
      return;
    }
    const run = ++this.run;
    const { span, replaces } = missing;
    this.loading = true;
    this.touched.clear();
    if (replaces && !this.stale) {
      this.lists = new Map(this.cameras.map((id) => [id, []]));
      this.range = null;
    }
    this.changed();
    // While what is there is loaded again, it stays until the new is whole.
    const found = this.stale ? new Map<string, RecordedEvent[]>(this.cameras.map((id) => [id, []])) : null;
    const reachesNow = span.end >= now();
    try {
      if (this.cameras.length) {
        for await (const page of fetchEvents(this.feed.hass, this.cameras, span)) {
          if (run !== this.run) {
            return;
          }
          this.take(found ?? this.lists, page);
          if (!found) {
            this.lists = new Map(this.lists);
            this.changed();
            await new Promise((painted) => window.setTimeout(painted));
          }
        }
      }
    } catch (error) {
      const words = await errorText(this.feed.hass, this.feed.texts!, error);
      if (run === this.run) {
        this.loading = false;
        this.error = words;
        this.changed();
        this.retry = window.setTimeout(() => void this.load(), this.delay);
        this.delay = Math.min(RETRY_MOST, this.delay * 2);
      }
      return;
    }
    if (run !== this.run) {
      return;
    }
    if (found) {
      this.lists = found;
      this.stale = false;
    }
    this.range = {
      start: replaces ? span.start : Math.min(span.start, this.range!.start),
      // Later ones come by themselves
      end: reachesNow ? Infinity : Math.max(span.end, replaces ? span.end : this.range!.end),
    };
    this.error = null;
    this.delay = RETRY_FIRST;
    this.loads++;
    if (this.missing()) {
      await this.load();
      return;
    }
    this.loading = false;
    this.changed();
    this.complete();
  }

  private take(lists: Map<string, RecordedEvent[]>, page: readonly RecordedEvent[]): void {
    const news = new Map<string, RecordedEvent[]>();
    for (const event of page) {
      // What was noticed meanwhile is newer than the page
      const newest = this.touched.has(event.id) ? this.touched.get(event.id) : event;
      if (newest && lists.has(newest.camera)) {
        const list = news.get(newest.camera) ?? [];
        list.push(newest);
        news.set(newest.camera, list);
      }
    }
    for (const [camera, list] of news) {
      lists.set(camera, merged(lists.get(camera)!, list));
    }
  }
}
