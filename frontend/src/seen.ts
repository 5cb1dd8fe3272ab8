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

  public constructor(private readonly changed: () => void) {}

  public async load(hass: HomeAssistant): Promise<void> {
    const { value } = await hass.callWS<{ value: Stored | null }>({
      type: "frontend/get_user_data",
      key: KEY,
    });
    if (value && this.timer === undefined) {
      this.stored = { until: value.until ?? 0, ids: value.ids ?? {} };
      this.note();
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
    for (const event of news) {
      this.stored.ids[event.id] = event.start;
    }
    const entries = Object.entries(this.stored.ids).sort(([, one], [, two]) => one - two);
    if (entries.length > MOST) {
      // What is older than the oldest that is still kept counts as seen
      const kept = entries.slice(entries.length - MOST);
      this.stored = { until: kept[0][1], ids: Object.fromEntries(kept) };
    }
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
