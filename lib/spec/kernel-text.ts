/** Whether the kernel could be told of a string: no NUL, and something that UTF-8 can say. */
export const isFit = (text: string): boolean => unfit(text) === undefined;

/** What a string has that the kernel could not be told of, as the end of "must not contain"; undefined where there is nothing. */
export function unfit(text: string): string | undefined {
  if (text.includes('\0')) return 'a NUL character';
  return /[\uD800-\uDFFF]/u.test(text) ? 'half of a surrogate pair' : undefined;
}
