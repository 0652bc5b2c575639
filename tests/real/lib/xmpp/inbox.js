import { StreamEnded } from "./errors.js";

/** Elements that were received and not taken yet. */
export class Inbox {
  #waiting = [];
  #elements = [];
  #ended;

  /** @param {import("ltx").Element} element */
  push(element) {
    const index = this.#waiting.findIndex(({ wanted }) => wanted(element));
    if (index < 0) {
      this.#elements.push(element);
      return;
    }
    const [{ resolve }] = this.#waiting.splice(index, 1);
    resolve(element);
  }

  /** Ends the inbox: no more elements will arrive, and waiting calls fail with `error`. */
  end(error = new StreamEnded()) {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }

  get ended() {
    return this.#ended;
  }

  /**
   * Takes the first element for which `wanted` returns `true`, now or later.
   * @param {(element: import("ltx").Element) => boolean} wanted
   * @param {number} [within] ms
   */
  take(wanted, within = 10_000) {
    const index = this.#elements.findIndex(wanted);
    if (index >= 0) return Promise.resolve(this.#elements.splice(index, 1)[0]);
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(entry), 1);
        reject(new Error(`no such element within ${within} ms`));
      }, within);
      const settle = (how) => (value) => {
        clearTimeout(timer);
        how(value);
      };
      const entry = { wanted, resolve: settle(resolve), reject: settle(reject) };
      this.#waiting.push(entry);
    });
  }
}
