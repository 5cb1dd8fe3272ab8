import { fetchCameras, type Notice } from "./api";
import { now, wasSet } from "./clock";
import { type Picture, Pictures, Thumbnails } from "./images";
import { loadTexts, type Texts } from "./localize";
import { Seen } from "./seen";
import type { Camera, Connection, HassEntity, HomeAssistant } from "./types";

const RETRY_FIRST = 1_000;
const RETRY_MOST = 30_000;
const LIVE_PICTURE_EVERY = 10_000;
const CLOSE_AFTER = 5_000;
const LOST_LATELY = 30_000;

/** What Home Assistant's states tell about a camera. */
export interface CameraInfo {
  streaming: boolean;
  status: HassEntity | undefined;
  battery: HassEntity | undefined;
  nextCheckIn: number | null;
  clipsToday: HassEntity | undefined;
  /** What waits for its next wake, in words. */
  pending: string | null;
}

const WANTED = ["status", "clips_today", "pending_changes"] as const;
const NOTHING_PENDING = ["none", "unknown", "unavailable"];

/**
 * The cameras and the news of them, for all cards of a page.
 *
 * It outlives restarts of Home Assistant: whatever is refused or lost is asked for again until it
 * is there. `ready` comes each time news flow (again): what was loaded before may have gaps.
 */
export class Feed extends EventTarget {
  public cameras: Camera[] | null = null;
  public texts: Texts | null = null;
  /** Whether news come. */
  public live = false;
  public readonly thumbnails = new Thumbnails();
  public readonly pictures = new Pictures(() => this.tell("changed"));
  public readonly seen = new Seen(() => this.tell("changed"));

  private static readonly feeds = new WeakMap<Connection, Feed>();
  private users = 0;
  private open = false;
  private lostAt = -Infinity;
  private closing: number | undefined;
  private attempt = 0;
  private delay = RETRY_FIRST;
  private retry: number | undefined;
  private tick: number | undefined;
  private subscriptions: (() => Promise<void>)[] = [];
  private entitiesOf: HomeAssistant["entities"];
  private entityIds = new Map<string, Record<string, string>>();
  private cameraEntities = "";

  private constructor(public hass: HomeAssistant) {
    super();
  }

  public static of(hass: HomeAssistant): Feed {
    let feed = Feed.feeds.get(hass.connection);
    if (!feed) {
      feed = new Feed(hass);
      Feed.feeds.set(hass.connection, feed);
    }
    return feed;
  }

  /** Begin to use it; the returned function ends that. */
  public use(): () => void {
    window.clearTimeout(this.closing);
    this.users++;
    if (!this.open) {
      this.open = true;
      this.hass.connection.addEventListener("ready", this.reconnected);
      this.hass.connection.addEventListener("disconnected", this.lost);
      document.addEventListener("visibilitychange", this.visible);
      this.tick = window.setInterval(() => this.everySoOften(), LIVE_PICTURE_EVERY);
      void this.connect();
    }
    let done = false;
    return () => {
      if (!done && ((done = true), --this.users === 0)) {
        // Where Home Assistant's page makes its cards again, others follow in a moment
        this.closing = window.setTimeout(() => this.close(), CLOSE_AFTER);
      }
    };
  }

  /**
   * Take Home Assistant's newest state; all cards hear of it when something that concerns them differs.
   *
   * Each card of a page hands on the same state: only the first finds the difference.
   */
  public update(hass: HomeAssistant): void {
    const old = this.hass;
    if (hass === old) {
      return;
    }
    this.hass = hass;
    if (hass.language !== old.language) {
      void this.loadTexts();
    }
    if (hass.entities !== this.entitiesOf) {
      const known = this.cameraEntities;
      const first = !this.entitiesOf;
      this.findEntities();
      if (first) {
        this.tell("changed");
      } else if (this.live && known !== this.cameraEntities) {
        // One was claimed, renamed or removed
        void this.loadCameras().catch(() => undefined);
      }
    }
    if (
      old.locale !== hass.locale ||
      old.themes !== hass.themes ||
      old.user !== hass.user ||
      [...this.entityIds.values()].some((ids) =>
        Object.values(ids).some((id) => this.differs(old.states[id], hass.states[id])),
      )
    ) {
      this.tell("changed");
    }
  }

  public camera(id: string): Camera | undefined {
    return this.cameras?.find((camera) => camera.id === id);
  }

  public info(camera: Camera): CameraInfo {
    const ids = this.entityIds.get(camera.id) ?? {};
    const state = (key: string) => (ids[key] ? this.hass.states[ids[key]] : undefined);
    const next = Date.parse(String(state("status")?.attributes.next_check_in ?? ""));
    const pending = state("pending_changes")?.state ?? NOTHING_PENDING[0];
    return {
      streaming: ["streaming", "recording"].includes(state("camera")?.state ?? ""),
      status: state("status"),
      battery: state("battery"),
      nextCheckIn: Number.isNaN(next) ? null : next,
      clipsToday: state("clips_today"),
      pending: NOTHING_PENDING.includes(pending) ? null : pending,
    };
  }

  /** The last picture; it is loaded again only when the camera has done something since. */
  public picture(camera: Camera): Picture | null {
    if (!this.entitiesOf) {
      // Without its entities a camera's version would be another one a moment later
      return null;
    }
    const ids = this.entityIds.get(camera.id) ?? {};
    const parts = ["camera", "status"].map((key) => {
      const state = ids[key] ? this.hass.states[ids[key]] : undefined;
      return state ? `${state.state} ${state.last_changed}` : "";
    });
    if (this.info(camera).streaming) {
      parts.push(`${Math.floor(now() / LIVE_PICTURE_EVERY)}`);
    }
    return this.pictures.get(this.hass, camera, `${camera.picture} ${parts.join()}`);
  }

  public may(camera: Camera | undefined, right: "control" | "edit"): boolean {
    return camera?.rights?.includes(right) ?? Boolean(this.hass.user?.is_admin);
  }

  private tell(type: string, detail?: unknown): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  private differs(one: HassEntity | undefined, two: HassEntity | undefined): boolean {
    // The camera's access token changes every five minutes: it concerns nobody here.
    return (
      one?.state !== two?.state || one?.attributes.next_check_in !== two?.attributes.next_check_in
    );
  }

  private findEntities(): void {
    this.entitiesOf = this.hass.entities;
    this.entityIds.clear();
    const entities = this.hass.entities ?? {};
    const byDevice = new Map<string, string[]>();
    const cameras: string[] = [];
    for (const entity of Object.values(entities)) {
      if (entity.platform === "magicpi_nvr" && entity.device_id) {
        byDevice.set(entity.device_id, [...(byDevice.get(entity.device_id) ?? []), entity.entity_id]);
        if (entity.entity_id.startsWith("camera.")) {
          const name = this.hass.states[entity.entity_id]?.attributes.friendly_name;
          cameras.push(`${entity.entity_id} ${name}`);
        }
      }
    }
    this.cameraEntities = cameras.sort().join();
    for (const camera of this.cameras ?? []) {
      const ids: Record<string, string> = {};
      if (camera.entity_id) {
        ids.camera = camera.entity_id;
        const device = entities[camera.entity_id]?.device_id;
        for (const id of (device && byDevice.get(device)) || []) {
          const key = entities[id].translation_key;
          if (WANTED.some((wanted) => wanted === key)) {
            ids[key!] = id;
          } else if (
            id.startsWith("sensor.") &&
            this.hass.states[id]?.attributes.device_class === "battery"
          ) {
            ids.battery = id;
          }
        }
      }
      this.entityIds.set(camera.id, ids);
    }
  }

  private async loadTexts(): Promise<void> {
    this.texts = await loadTexts(this.hass);
    this.tell("changed");
  }

  private async connect(): Promise<void> {
    const attempt = ++this.attempt;
    window.clearTimeout(this.retry);
    this.drop();
    try {
      if (this.texts?.language !== this.hass.language) {
        await this.loadTexts();
      }
      const unsubscribe = await this.hass.connection.subscribeMessage<Notice>(
        (notice) => {
          if (attempt === this.attempt) {
            this.noticed(notice);
          }
        },
        { type: "magicpi_nvr/subscribe" },
        // Resubscribing is done here: right after a restart it would be refused, once and for all.
        { resubscribe: false },
      );
      if (!this.keeps(attempt, unsubscribe)) {
        return;
      }
      await this.loadCameras();
      if (attempt !== this.attempt) {
        return;
      }
      this.live = true;
      this.delay = RETRY_FIRST;
      this.tell("ready");
      this.keeps(attempt, await this.seen.follow(this.hass).catch(() => null));
    } catch {
      if (attempt === this.attempt && this.open) {
        this.lost();
        this.retry = window.setTimeout(() => void this.connect(), this.delay);
        this.delay = Math.min(RETRY_MOST, this.delay * 2);
      }
    }
  }

  private async loadCameras(): Promise<void> {
    const cameras = await fetchCameras(this.hass);
    cameras.sort((one, two) => one.name.localeCompare(two.name));
    this.cameras = cameras;
    this.findEntities();
    this.tell("changed");
  }

  private noticed(notice: Notice): void {
    this.tell("notice", notice);
    const camera = this.camera(notice.event.camera);
    if (!camera?.picture) {
      // A new camera, or its first picture
      void this.loadCameras().catch(() => undefined);
    }
  }

  /** Keep what ends a subscription, unless it came too late. */
  private keeps(attempt: number, unsubscribe: (() => Promise<void>) | null): boolean {
    const current = attempt === this.attempt;
    if (unsubscribe && current) {
      this.subscriptions.push(unsubscribe);
    } else {
      void unsubscribe?.().catch(() => undefined);
    }
    return current;
  }

  private drop(): void {
    for (const unsubscribe of this.subscriptions.splice(0)) {
      void unsubscribe().catch(() => undefined);
    }
  }

  private close(): void {
    this.open = false;
    this.attempt++;
    this.live = false;
    window.clearTimeout(this.retry);
    window.clearInterval(this.tick);
    this.hass.connection.removeEventListener("ready", this.reconnected);
    this.hass.connection.removeEventListener("disconnected", this.lost);
    document.removeEventListener("visibilitychange", this.visible);
    this.drop();
    this.thumbnails.clear();
    this.pictures.clear();
  }

  private everySoOften(): void {
    if (document.visibilityState === "visible") {
      if (this.live && wasSet()) {
        void this.loadCameras().catch(() => undefined);
      }
      this.tell("tick");
      if (this.cameras?.some((camera) => this.info(camera).streaming)) {
        this.tell("changed");
      }
    }
  }

  private visible = (): void => {
    if (document.visibilityState === "visible") {
      this.tell("tick");
    }
  };

  private reconnected = (): void => {
    this.delay = RETRY_FIRST;
    // The server forgot the subscription with the connection
    this.subscriptions = [];
    void this.connect();
  };

  /** Whether there was no connection until a moment ago. */
  public get wasLost(): boolean {
    return !this.live || performance.now() - this.lostAt < LOST_LATELY;
  }

  private lost = (): void => {
    this.live = false;
    this.lostAt = performance.now();
    this.tell("changed");
  };
}
