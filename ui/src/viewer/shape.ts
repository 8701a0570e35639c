/** The shapes of values that others wrote, as `classveil` reads them: what it refuses is refused here too. */

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether `value` has no member but `names`: what nobody knows may change what the others mean. */
export const hasOnly = (value: object, names: readonly string[]): boolean =>
  Object.keys(value).every((name) => names.includes(name));

/** A pseudonym. */
export const isName = (value: unknown): value is string =>
  typeof value === "string" && /^[a-z0-9-]{1,32}$/.test(value);

/** A camera's id is a folder's name; one that climbs out of the folder, or is another's, is none. */
export const isCamera = (value: unknown): value is string =>
  isName(value) && !["grants", "marks", "notes"].includes(value);

/** A recording's id. */
export const isId = (value: unknown): value is string =>
  typeof value === "string" && /^[0-9a-f-]{36}$/.test(value);

/** A moment, with its distance to UTC. */
export const isMoment = (value: unknown): value is string =>
  typeof value === "string" &&
  /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/.test(value) &&
  !Number.isNaN(Date.parse(value));

/** A number of something. */
export const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;

/** A SHA-256. */
export const isSha256 = (value: unknown): value is string =>
  typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
