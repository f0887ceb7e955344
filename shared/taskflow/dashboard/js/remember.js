/**
 * Return a function that works something out again only where what it is given has changed.
 *
 * @template {readonly unknown[]} Given
 * @template Result
 * @param {(...given: Given) => Result} work
 * @returns {(...given: Given) => Result}
 */
export function remembered(work) {
  /** @type {{ given: Given, result: Result } | null} */
  let last = null;
  return (...given) => {
    if (!last || given.some((each, at) => !Object.is(each, last?.given[at]))) {
      last = { given, result: work(...given) };
    }
    return last.result;
  };
}
