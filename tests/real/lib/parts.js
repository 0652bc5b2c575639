/**
 * The parts of a deployment as they are started: `keep` adds one, `stop` stops them, the last one first.
 * A second `stop` does nothing.
 */
export function collectParts() {
  const started = [];
  return {
    /** @template {{ stop: () => Promise<unknown> }} Part @param {Part} part @returns {Part} */
    keep(part) {
      started.unshift(part);
      return part;
    },
    async stop() {
      for (const part of started.splice(0)) await part.stop();
    },
  };
}
