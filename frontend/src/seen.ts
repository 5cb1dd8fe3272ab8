import { now } from "./clock";
import type { HomeAssistant, RecordedEvent } from "./types";
import { DAY } from "./time";

const KEY = "magicpi_nvr_seen";
const MOST = 1000;
const SAVE_AFTER = 2_000;

interface Stored {
  /** Everything that began before is seen. */
  until: number;
  /** Starts of later events that are seen, by id. */
  ids: Record<string, number>;
}

/** What a user has looked at: kept by Home Assistant for each user, on every device. */
export class Seen {
  public version = 0;
  private stored: Stored = { until: now() - DAY, ids: {} };
  private timer: number | undefined;
  private known = false;

  public constructor(private readonly changed: () => void) {}

  /** Hear of what the user has looked at, on other devices as well; the returned function ends that. */
  public follow(hass: HomeAssistant): Promise<() => Promise<void>> {
    return hass.connection.subscribeMessage<{ value: Stored | null }>(
      ({ value }) => this.take(value),
      { type: "frontend/subscribe_user_data", key: KEY },
      { resubscribe: false },
    );
  }

  /** Nothing that was seen becomes unseen: what is kept elsewhere is added to what is known here. */
  private take(value: Stored | null): void {
    const { until, ids } = this.stored;
    const later = this.known ? Math.max(until, value?.until ?? 0) : (value?.until ?? until);
    const added = Object.keys(value?.ids ?? {}).some((id) => !(id in ids));
    this.known = true;
    if (later !== until || added) {
      this.keep(later, { ...value?.ids, ...ids });
      this.note();
    }
  }

  private keep(until: number, ids: Stored["ids"]): void {
    const entries = Object.entries(ids).sort(([, one], [, two]) => one - two);
    if (entries.length > MOST) {
      // What is older than the oldest that is still kept counts as seen
      const kept = entries.slice(entries.length - MOST);
      this.stored = { until: Math.max(until, kept[0][1]), ids: Object.fromEntries(kept) };
    } else {
      this.stored = { until, ids };
    }
  }

  public has(event: RecordedEvent): boolean {
    return event.start < this.stored.until || event.id in this.stored.ids;
  }

  public add(hass: HomeAssistant, events: readonly RecordedEvent[]): void {
    const news = events.filter((event) => !this.has(event));
    if (!news.length) {
      return;
    }
    const ids = Object.fromEntries(news.map((event) => [event.id, event.start]));
    this.keep(this.stored.until, { ...this.stored.ids, ...ids });
    this.note();
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      this.timer = undefined;
      hass
        .callWS({ type: "frontend/set_user_data", key: KEY, value: this.stored })
        .catch(() => undefined);
    }, SAVE_AFTER);
  }

  private note(): void {
    this.version++;
    this.changed();
  }
}
