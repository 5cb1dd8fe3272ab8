/** The parts of Home Assistant's frontend that a card is handed. */
export interface HassEntity {
  entity_id: string;
  state: string;
  attributes: Record<string, unknown>;
}

export interface HomeAssistant {
  states: Record<string, HassEntity | undefined>;
  config: { time_zone: string };
  locale: { language: string; time_zone?: "local" | "server"; time_format?: string };
  connection: {
    subscribeMessage<T>(
      callback: (message: T) => void,
      message: Record<string, unknown>,
    ): Promise<() => Promise<void>>;
  };
  callWS<T>(message: Record<string, unknown>): Promise<T>;
  hassUrl(path: string): string;
  fetchWithAuth(path: string, init?: RequestInit): Promise<Response>;
}

export interface Camera {
  id: string;
  name: string;
  entity_id: string | null;
  status: string;
  /** Path of the last picture; none before the first one. */
  picture: string | null;
}

/** A recorded event; times are epoch milliseconds. */
export interface RecordedEvent {
  id: string;
  camera: string;
  start: number;
  end: number;
  reason: string;
  state: string;
  labels: string[];
  protected: boolean;
  thumbnail: string | null;
  clip: string;
}

export interface CardConfig {
  type: string;
  title?: string;
  /** Entity ids of cameras; none = every camera. */
  entities?: string[];
}

/** A stretch of time, epoch milliseconds. */
export interface Span {
  start: number;
  end: number;
}
