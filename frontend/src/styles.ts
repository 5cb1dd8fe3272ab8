import { css } from "lit";

/** Buttons and fields that look like Home Assistant's and are large enough for a finger. */
export const controls = css`
  button,
  input,
  select,
  textarea {
    font: inherit;
    font-size: 14px;
    min-height: 40px;
    min-width: 40px;
    box-sizing: border-box;
    border: 1px solid var(--divider-color, #ccc);
    border-radius: 10px;
    background: var(--card-background-color, #fff);
    color: var(--primary-text-color, #111);
    color-scheme: light dark;
  }
  button {
    cursor: pointer;
    padding: 0 8px;
    --mdc-icon-size: 20px;
  }
  button.icon {
    padding: 0;
    border-color: transparent;
    border-radius: 20px;
    background: none;
  }
  button.icon:hover,
  button.icon[aria-pressed="true"] {
    background: var(--secondary-background-color, #eee);
  }
  button.on {
    border-color: var(--primary-color, #03a9f4);
    box-shadow: inset 0 0 0 1px var(--primary-color, #03a9f4);
  }
  button:disabled {
    opacity: 0.4;
    cursor: default;
  }
  :is(button, input, select, textarea):focus-visible {
    outline: 2px solid var(--primary-color, #03a9f4);
    outline-offset: 1px;
  }
`;
