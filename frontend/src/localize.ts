import type en from "../../custom_components/magicpi_nvr/translations/en.json";
import type { Formats } from "./time";
import type { HomeAssistant } from "./types";

type CommonKey = keyof (typeof en)["common"];
type WithPrefix<Prefix extends string> = CommonKey extends infer Key
  ? Key extends `${Prefix}${infer Rest}`
    ? Rest
    : never
  : never;
export type Key = WithPrefix<"card_">;
type PluralKey = Key extends infer Each ? (Each extends `${infer Rest}_one` ? Rest : never) : never;
type Values = Record<string, string | number>;

/** The integration's own translations, in the user's language. */
export class Texts {
  public constructor(
    private readonly localize: (key: string, values?: Values) => string,
    public readonly language: string,
  ) {}

  public get(key: Key, values?: Values): string {
    return this.localize(`component.magicpi_nvr.common.card_${key}`, values) || key;
  }

  /** One or several: `key_one` or `key_other`. */
  public count(key: PluralKey, count: number, formats: Formats): string {
    return this.get(`${key}_${formats.plural(count)}` as Key, { count });
  }

  /** A label; the detector's are translated, others are shown as they are. */
  public label(label: string): string {
    return this.localize(`component.magicpi_nvr.common.label_${label}`) || label;
  }

  /** The reason of an event; one that has no text is shown as it is. */
  public reason(reason: string): string {
    return this.localize(`component.magicpi_nvr.common.reason_${reason}`) || reason;
  }
}

const loaded = new Map<string, Promise<Texts>>();

/** Load the texts once per language; what fails is asked for again. */
export function loadTexts(hass: HomeAssistant): Promise<Texts> {
  let texts = loaded.get(hass.language);
  if (!texts) {
    const { language } = hass;
    texts = hass
      .loadBackendTranslation("common", "magicpi_nvr")
      .then((localize) => new Texts(localize, language));
    loaded.set(language, texts);
    texts.catch(() => loaded.delete(language));
  }
  return texts;
}

// Pickers show these before anything of Home Assistant can be asked.
type PickerKey =
  | "timeline"
  | "timeline_about"
  | "cameras"
  | "cameras_about"
  | "camera"
  | "camera_about"
  | "form_title"
  | "form_entities"
  | "form_entity";

const NAMES: Record<string, Record<PickerKey, string>> = {
  en: {
    timeline: "MagicPi timeline",
    timeline_about: "Your MagicPi cameras on a line: look, play, keep, share.",
    cameras: "MagicPi cameras",
    cameras_about: "Tiles, timeline, latest clips and problems of your MagicPi cameras.",
    camera: "MagicPi camera",
    camera_about: "The last picture of a camera, with its age, status, battery and clips of today.",
    form_title: "Title",
    form_entities: "Cameras (none = all)",
    form_entity: "Camera",
  },
  de: {
    timeline: "MagicPi-Zeitleiste",
    timeline_about: "Deine MagicPi-Kameras auf einer Linie: ansehen, abspielen, behalten, teilen.",
    cameras: "MagicPi-Kameras",
    cameras_about: "Kacheln, Zeitleiste, neueste Clips und Probleme deiner MagicPi-Kameras.",
    camera: "MagicPi-Kamera",
    camera_about: "Das letzte Bild einer Kamera, mit Alter, Status, Batterie und den Clips von heute.",
    form_title: "Titel",
    form_entities: "Kameras (keine = alle)",
    form_entity: "Kamera",
  },
  fr: {
    timeline: "Chronologie MagicPi",
    timeline_about: "Vos caméras MagicPi sur une ligne : regarder, lire, garder, partager.",
    cameras: "Caméras MagicPi",
    cameras_about: "Tuiles, chronologie, derniers clips et problèmes de vos caméras MagicPi.",
    camera: "Caméra MagicPi",
    camera_about: "La dernière image d'une caméra, avec son âge, son état, sa batterie et les clips du jour.",
    form_title: "Titre",
    form_entities: "Caméras (aucune = toutes)",
    form_entity: "Caméra",
  },
  es: {
    timeline: "Cronología de MagicPi",
    timeline_about: "Tus cámaras MagicPi en una línea: mirar, reproducir, guardar, compartir.",
    cameras: "Cámaras MagicPi",
    cameras_about: "Mosaicos, cronología, últimos clips y problemas de tus cámaras MagicPi.",
    camera: "Cámara MagicPi",
    camera_about: "La última imagen de una cámara, con su antigüedad, estado, batería y clips de hoy.",
    form_title: "Título",
    form_entities: "Cámaras (ninguna = todas)",
    form_entity: "Cámara",
  },
};

/** A name for a picker, in the page's language. */
export function pickerName(key: PickerKey): string {
  return (NAMES[document.documentElement.lang.split("-")[0]] ?? NAMES.en)[key];
}
