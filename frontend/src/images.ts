import type { Camera, HomeAssistant } from "./types";

const THUMBNAILS = 200;

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
      if (response.ok) {
        return URL.createObjectURL(await response.blob());
      }
    } catch {
      // The next look at it asks again
    }
    this.urls.delete(path);
    return null;
  }
}

export interface Picture {
  url: string;
  /** UTC epoch milliseconds of the capture; null where it is unknown. */
  at: number | null;
}

/** The last picture of each camera: loaded again only when its camera has been awake since. */
export class Pictures {
  private known = new Map<string, { version: string; picture: Picture | null }>();

  public constructor(private readonly changed: () => void) {}

  /** Return what is there; another version of it is on its way then. */
  public get(hass: HomeAssistant, camera: Camera, version: string): Picture | null {
    const known = this.known.get(camera.id);
    if (camera.picture && known?.version !== version) {
      this.known.set(camera.id, { version, picture: known?.picture ?? null });
      void this.load(hass, camera, version);
    }
    return this.known.get(camera.id)?.picture ?? null;
  }

  public clear(): void {
    for (const { picture } of this.known.values()) {
      if (picture) {
        URL.revokeObjectURL(picture.url);
      }
    }
    this.known.clear();
  }

  private async load(hass: HomeAssistant, camera: Camera, version: string): Promise<void> {
    const wanted = () => this.known.get(camera.id)?.version === version;
    try {
      const response = await hass.fetchWithAuth(camera.picture!);
      if (!wanted()) {
        return;
      }
      if (response.ok) {
        const blob = await response.blob();
        const entry = this.known.get(camera.id);
        if (!entry || !wanted()) {
          return;
        }
        const at = Date.parse(response.headers.get("Last-Modified") ?? "");
        const old = entry.picture;
        entry.picture = { url: URL.createObjectURL(blob), at: at || camera.picture_at || null };
        this.changed();
        if (old) {
          // What shows the old one takes the new one first
          window.setTimeout(() => URL.revokeObjectURL(old.url), 5_000);
        }
        return;
      }
    } catch {
      // Asked for again with the next version
    }
    if (wanted()) {
      this.known.get(camera.id)!.version = "";
    }
  }
}
