/** The parts of Home Assistant's frontend that a card is handed. */
export interface HassEntity {
  entity_id: string;
  state: string;
  attributes: Record<string, unknown>;
  last_changed: string;
}

export interface HassRegistryEntity {
  entity_id: string;
  device_id?: string | null;
  platform?: string;
  translation_key?: string;
}

export interface Connection {
  connected: boolean;
  addEventListener(type: string, listener: () => void): void;
  removeEventListener(type: string, listener: () => void): void;
  subscribeMessage<T>(
    callback: (message: T) => void,
    message: Record<string, unknown>,
    options?: { resubscribe?: boolean },
  ): Promise<() => Promise<void>>;
}

export interface Locale {
  language: string;
  time_zone?: "local" | "server";
  time_format?: string;
  date_format?: string;
}

type Localize = (key: string, values?: Record<string, string | number>) => string;

export interface HomeAssistant {
  states: Record<string, HassEntity | undefined>;
  entities?: Record<string, HassRegistryEntity>;
  config: { time_zone: string };
  locale: Locale;
  language: string;
  user?: { id: string; is_admin: boolean };
  themes?: { darkMode?: boolean; theme?: string };
  connection: Connection;
  callWS<T>(message: Record<string, unknown>): Promise<T>;
  callService(
    domain: string,
    action: string,
    data: Record<string, unknown>,
    target?: undefined,
    notifyOnError?: boolean,
  ): Promise<unknown>;
  hassUrl(path: string): string;
  fetchWithAuth(path: string, init?: RequestInit): Promise<Response>;
  loadBackendTranslation(category: string, integration: string): Promise<Localize>;
  formatEntityState(state: HassEntity): string;
}

export interface Camera {
  id: string;
  name: string;
  entity_id: string | null;
  status: string;
  /** Path of the last picture; none before the first one. */
  picture: string | null;
  /** UTC epoch milliseconds of its capture. */
  picture_at?: number | null;
  /** What the user may do: `control` (keep, label), `edit` (delete). */
  rights?: string[];
}

/** Something that a detector found. */
export interface Detection {
  label: string;
  score?: number;
  /** It stood there in the event before. */
  still?: boolean;
}

/** A recorded event; times are UTC epoch milliseconds. */
export interface RecordedEvent {
  id: string;
  camera: string;
  start: number;
  end: number;
  reason: string;
  state: string;
  labels: string[];
  description?: string | null;
  protected: boolean;
  thumbnail: string | null;
  clip: string;
  detections?: Detection[];
  zones?: string[];
  verdict?: string | null;
  /** Its clip is at a storage for copies alone. */
  remote?: boolean;
}

export interface Zone {
  name: string;
  kind: "watch" | "ignore";
  /** Fractions of the picture's width and height. */
  points: [number, number][];
}

export interface CardConfig {
  type: string;
  title?: string;
  /** Entity ids of cameras; none = every camera. */
  entities?: string[];
}

/** A stretch of time, UTC epoch milliseconds. */
export interface Span {
  start: number;
  end: number;
}
