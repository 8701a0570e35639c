/** A seat as the pupil list writes it, and what makes an outline none. */

/** A corner, as parts of the picture's width and height. */
export type Point = readonly [number, number];

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
