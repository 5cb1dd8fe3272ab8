import { learn } from "./clock";
import type { Texts } from "./localize";
import type { Camera, HomeAssistant, RecordedEvent, Span, Zone } from "./types";

const PAGE = 500;
export const CLIP_EXPIRES = 6 * 3600;
export const SHARE_EXPIRES = 24 * 3600;

interface EventPage {
  events: RecordedEvent[];
  cursor: string | null;
}

export type Notice =
  | { type: "event_started" | "clip_ready" | "event_changed"; event: RecordedEvent }
  | { type: "event_deleted"; event: { id: string; camera: string } };

export async function fetchCameras(hass: HomeAssistant): Promise<Camera[]> {
  const asked = Date.now();
  const answer = await hass.callWS<{ cameras: Camera[]; now?: number }>({ type: "magicpi_nvr/cameras" });
  learn(answer.now, asked);
  return answer.cameras;
}

/** Every event of a span, which may end with the newest, newest first, page by page: a day appears while it is still loading. */
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
      start: Math.floor(span.start),
      ...(span.end < Infinity && { end: Math.ceil(span.end) }),
      // Hidden by the card's filters, where a chip shows them
      nothing_seen: "show",
      limit: PAGE,
      ...(cursor && { cursor }),
    });
    yield page.events;
    cursor = page.cursor;
  } while (cursor);
}

/** The newest events, at most so many. */
export async function fetchLatest(
  hass: HomeAssistant,
  cameras: string[],
  limit: number,
): Promise<RecordedEvent[]> {
  const page: EventPage = await hass.callWS({
    type: "magicpi_nvr/events",
    camera_ids: cameras,
    limit,
  });
  return page.events;
}

/** An address that a `<video>` can open: it sends no Authorization header. */
export async function signPath(hass: HomeAssistant, path: string, expires: number): Promise<string> {
  const { path: signed } = await hass.callWS<{ path: string }>({
    type: "auth/sign_path",
    path,
    expires,
  });
  return hass.hassUrl(signed);
}

/** Call an action; what goes wrong is said here, not by Home Assistant as well. */
export function act(hass: HomeAssistant, action: string, data: Record<string, unknown>): Promise<unknown> {
  return hass.callService("magicpi_nvr", action, data, undefined, false);
}

/** The zones of a camera; null where the integration has none. */
export async function fetchZones(hass: HomeAssistant, camera: string): Promise<Zone[] | null> {
  try {
    const answer = await hass.callWS<{ zones: Zone[] }>({
      type: "magicpi_nvr/zones/get",
      camera_id: camera,
    });
    return answer.zones;
  } catch (error) {
    if ((error as { code?: string }).code === "unknown_command") {
      return null;
    }
    throw error;
  }
}

export function saveZones(hass: HomeAssistant, camera: string, zones: Zone[]): Promise<unknown> {
  return hass.callWS({ type: "magicpi_nvr/zones/set", camera_id: camera, zones });
}

const CONNECTION_LOST = 3;

interface Problem {
  message?: string;
  translation_key?: string;
  translation_domain?: string;
  translation_placeholders?: Record<string, string>;
  error?: { code?: unknown };
}

/** The words of an error in the user's language: of Home Assistant's, of its connection, or of the browser. */
export async function errorText(hass: HomeAssistant, texts: Texts, error: unknown): Promise<string> {
  const problem = (typeof error === "object" && error) as Problem | false;
  if (error === CONNECTION_LOST || (problem && problem.error?.code === CONNECTION_LOST)) {
    return texts.get("connection_lost");
  }
  if (problem && problem.translation_key && problem.translation_domain) {
    const { translation_key: key, translation_domain: domain } = problem;
    const localize = await hass.loadBackendTranslation("exceptions", domain).catch(() => null);
    const text = localize?.(`component.${domain}.exceptions.${key}.message`, problem.translation_placeholders);
    if (text) {
      return text;
    }
  }
  return (problem && problem.message) || String(error);
}
