import type { Camera, HomeAssistant, RecordedEvent, Span } from "./types";

const PAGE = 500;
const THUMBNAILS = 200;
const CLIP_EXPIRES = 6 * 3600;

interface EventPage {
  events: RecordedEvent[];
  cursor: string | null;
}

export type Notice =
  | { type: "event_started" | "clip_ready" | "event_changed"; event: RecordedEvent }
  | { type: "event_deleted"; event: { id: string; camera: string } };

export async function fetchCameras(hass: HomeAssistant): Promise<Camera[]> {
  return (await hass.callWS<{ cameras: Camera[] }>({ type: "magicpi_nvr/cameras" })).cameras;
}

/** Every event of a span, newest first, page by page: a day appears while it is still loading. */
export async function* fetchEvents(
  hass: HomeAssistant,
  cameras: string[],
  span: Span,
): AsyncGenerator<RecordedEvent[]> {
  let cursor: string | null = null;
  do {
    const page: EventPage = await hass.callWS({
      type: "magicpi_nvr/events",
      camera_ids: cameras,
      start: span.start,
      end: span.end,
      limit: PAGE,
      ...(cursor && { cursor }),
    });
    yield page.events;
    cursor = page.cursor;
  } while (cursor);
}

export function subscribe(
  hass: HomeAssistant,
  callback: (notice: Notice) => void,
): Promise<() => Promise<void>> {
  return hass.connection.subscribeMessage<Notice>(callback, { type: "magicpi_nvr/subscribe" });
}

/** An address that a `<video>` can open: it sends no Authorization header. */
export async function signPath(hass: HomeAssistant, path: string): Promise<string> {
  const { path: signed } = await hass.callWS<{ path: string }>({
    type: "auth/sign_path",
    path,
    expires: CLIP_EXPIRES,
  });
  return hass.hassUrl(signed);
}

/** Thumbnails as object URLs; the oldest are revoked beyond a bound. */
export class Thumbnails {
  private urls = new Map<string, Promise<string | null>>();

  public get(hass: HomeAssistant, path: string): Promise<string | null> {
    const known = this.urls.get(path);
    if (known) {
      this.urls.delete(path);
      this.urls.set(path, known);
      return known;
    }
    const url = this.load(hass, path);
    this.urls.set(path, url);
    if (this.urls.size > THUMBNAILS) {
      const [oldest, gone] = this.urls.entries().next().value!;
      this.urls.delete(oldest);
      void gone.then((old) => old && URL.revokeObjectURL(old));
    }
    return url;
  }

  public clear(): void {
    for (const url of this.urls.values()) {
      void url.then((old) => old && URL.revokeObjectURL(old));
    }
    this.urls.clear();
  }

  private async load(hass: HomeAssistant, path: string): Promise<string | null> {
    try {
      const response = await hass.fetchWithAuth(path);
      return response.ok ? URL.createObjectURL(await response.blob()) : null;
    } catch {
      this.urls.delete(path);
      return null;
    }
  }
}
