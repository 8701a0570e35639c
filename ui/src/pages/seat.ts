/** A seat as the pupil list writes it, and what makes an outline none. */

/** A corner, as parts of the picture's width and height. */
export type Point = readonly [number, number];

/** An outline, corner by corner. */
export type Seat = readonly Point[];

/** Outlines of seats in a camera's picture: all that leaves the page of whoever sees it. */
export interface Plan {
  readonly camera: string;
  /** Of the picture, in pixels: its shape. */
  readonly width: number;
  readonly height: number;
  readonly seats: readonly Seat[];
}

const FORMAT = "classveil-seats/1";
const LARGEST = 8192;

/** A plan as a file. */
export const writePlan = ({ camera, width, height, seats }: Plan): string =>
  `${JSON.stringify({ format: FORMAT, camera, width, height, seats })}\n`;

/** Reads a plan; `null` where it is none. */
export function readPlan(text: string): Plan | null {
  let found: Partial<Plan> & { format?: unknown };
  try {
    found = (JSON.parse(text) ?? {}) as typeof found;
  } catch {
    return null;
  }
  const { format, camera, width, height, seats } = found;
  const isSize = (value: unknown): value is number =>
    Number.isSafeInteger(value) && (value as number) > 0 && (value as number) <= LARGEST;
  const isPart = (value: unknown): boolean => typeof value === "number" && value >= 0 && value <= 1;
  const isSeat = (seat: unknown): boolean =>
    Array.isArray(seat) &&
    seat.length > 2 &&
    seat.every((point) => Array.isArray(point) && point.length === 2 && point.every(isPart));
  if (format !== FORMAT || typeof camera !== "string" || !/^[a-z0-9-]{1,32}$/.test(camera)) return null;
  if (!isSize(width) || !isSize(height) || !Array.isArray(seats) || !seats.every(isSeat)) return null;
  return { camera, width, height, seats };
}

/** `cam1:0.100/0.200 0.300/0.200 0.300/0.600` */
export const seatText = (camera: string, points: readonly Point[]): string =>
  `${camera}:${points.map(([x, y]) => `${x.toFixed(3)}/${y.toFixed(3)}`).join(" ")}`;

/** Whether two sides that are no neighbours meet. */
export function crosses(points: readonly Point[]): boolean {
  const sides = points.map((from, i) => [from, points[(i + 1) % points.length] ?? from] as const);
  return sides.some(([a, b], i) =>
    sides.some(([c, d], j) => {
      const apart = Math.abs(i - j);
      if (j <= i || apart === 1 || apart === sides.length - 1) return false;
      const turn = (p: Point, q: Point, r: Point): number =>
        (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]);
      return turn(a, b, c) * turn(a, b, d) <= 0 && turn(c, d, a) * turn(c, d, b) <= 0;
    }),
  );
}
