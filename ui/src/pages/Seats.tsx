/**
 * Seats for the pupil list. Whoever sees the veiled preview draws their outlines on it and saves them as
 * a plan: outlines, numbers, and not one pixel. Whoever keeps the list opens the plan and copies the
 * texts; no picture comes to them, however it was veiled.
 */

import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { download } from "../parts/Screen";
import { text as textOf } from "../viewer/bytes";
import { Problem } from "./api";
import { Card, Failed, useAction, usePagesText } from "./common";
import { crosses, readPlan, seatText, writePlan, type Plan, type Point, type Seat } from "./seat";

/** Most corners that the list takes. */
const MOST = 32;
/** Longest plan, in bytes. */
const PLAN_LIMIT = 1 << 20;
/** One step of an arrow key, as a part of the picture. */
const STEP = 0.01;

/** For whoever keeps the list: the outlines of a plan, and the text of each. */
export function SeatsPage() {
  const t = usePagesText();
  const { error, act } = useAction();
  const [plan, setPlan] = useState<Plan | null>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (plan) draw(canvas.current, plan.width, plan.height, null, plan.seats, null);
  }, [plan]);
  const open = (file: File | undefined): void => {
    if (!file) return;
    setPlan(null);
    void act(async () => {
      if (file.size > PLAN_LIMIT) throw new Problem(0, "", t.seatsNoPlan);
      const found = readPlan(textOf(new Uint8Array(await file.arrayBuffer())));
      if (!found) throw new Problem(0, "", t.seatsNoPlan);
      setPlan(found);
    });
  };
  return (
    <Card title={t.seatsTitle}>
      <p class="hint">{t.seatsPlanHint}</p>
      <label for="seat-plan">{t.seatsPlan}</label>
      <input
        id="seat-plan"
        type="file"
        accept=".json"
        onChange={(event) => open(event.currentTarget.files?.[0])}
      />
      <Failed error={error} />
      {plan && (
        <div class="seats">
          <canvas ref={canvas} role="img" aria-label={t.seatsOutlines(plan.seats.length)} />
          <ol>
            {plan.seats.map((seat, index) => (
              <li key={index}>
                <SeatText text={seatText(plan.camera, seat)} />
              </li>
            ))}
          </ol>
        </div>
      )}
    </Card>
  );
}

function SeatText({ text }: { text: string }) {
  const t = usePagesText();
  const [copied, setCopied] = useState(false);
  return (
    <>
      <code data-seat>{text}</code>{" "}
      <button
        type="button"
        onClick={() => void navigator.clipboard?.writeText(text).then(() => setCopied(true))}
      >
        {t.copy}
      </button>{" "}
      {copied && <span role="status">{t.copied}</span>}
    </>
  );
}

/** Draws outlines, each with its number, and the cross, on the picture where there is one. */
function draw(
  canvas: HTMLCanvasElement | null,
  width: number,
  height: number,
  picture: HTMLCanvasElement | null,
  outlines: readonly Seat[],
  cross: Point | null,
): void {
  const pen = canvas?.getContext("2d");
  if (!canvas || !pen) return;
  canvas.width = width;
  canvas.height = height;
  pen.fillStyle = "#666";
  pen.fillRect(0, 0, width, height);
  if (picture) pen.drawImage(picture, 0, 0);
  const at = ([x, y]: Point): [number, number] => [x * width, y * height];
  pen.font = `${Math.max(12, width / 30)}px sans-serif`;
  // A dark line under a light one is seen on every picture.
  for (const [colour, extra] of [["#000", 2], ["#fff", 0]] as const) {
    pen.strokeStyle = colour;
    pen.fillStyle = colour;
    pen.lineWidth = Math.max(2, width / 400) + extra;
    outlines.forEach((points, index) => {
      pen.beginPath();
      points.forEach((point, i) => (i === 0 ? pen.moveTo(...at(point)) : pen.lineTo(...at(point))));
      if (points.length > 2) pen.closePath();
      pen.stroke();
      const [x, y] = at(points[0] ?? [0, 0]);
      if (points.length > 0) pen.fillText(String(index + 1), x + 4 + extra, y - 4 + extra);
    });
    if (!cross) continue;
    const [x, y] = at(cross);
    const arm = width / 40;
    pen.beginPath();
    pen.moveTo(x - arm, y);
    pen.lineTo(x + arm, y);
    pen.moveTo(x, y - arm);
    pen.lineTo(x, y + arm);
    pen.stroke();
  }
}

/** For whoever sees the preview: draws seats on a picture that stays in the page. */
export function Seats({ picture, camera }: { picture: HTMLCanvasElement; camera: string }) {
  const t = usePagesText();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [seats, setSeats] = useState<readonly Seat[]>([]);
  const [points, setPoints] = useState<Seat>([]);
  const [cross, setCross] = useState<Point>([0.5, 0.5]);
  useEffect(() => {
    setSeats([]);
    setPoints([]);
  }, [picture]);
  useEffect(
    () => draw(canvas.current, picture.width, picture.height, picture, [...seats, points], cross),
    [picture, seats, points, cross],
  );

  const add = (point: Point): void =>
    setPoints((before) => (before.length < MOST ? [...before, point] : before));
  const problem = points.length < 3 ? t.seatsFew : crosses(points) ? t.seatsCrossed : null;
  const finished = problem ? seats : [...seats, points];
  return (
    <div class="seats">
      <p class="hint">{t.seatsHint}</p>
      <Area canvas={canvas} cross={cross} onCross={setCross} onPoint={add} onBack={() => setPoints(points.slice(0, -1))}>
        {t.seatsArea}
      </Area>
      <p role="status" data-corners={points.length}>
        {problem ?? t.seatsGood}
      </p>
      <p class="row">
        <button type="button" onClick={() => setPoints(points.slice(0, -1))}>
          {t.seatsUndo}
        </button>
        <button
          type="button"
          disabled={problem !== null}
          onClick={() => {
            setSeats(finished);
            setPoints([]);
          }}
        >
          {t.seatsNext}
        </button>
        <button
          type="button"
          onClick={() => {
            setSeats([]);
            setPoints([]);
          }}
        >
          {t.seatsClear}
        </button>
        <button
          type="button"
          class="primary"
          data-act="save-plan"
          disabled={finished.length === 0}
          onClick={() => {
            const { width, height } = picture;
            const plan = writePlan({ camera, width, height, seats: finished });
            download(`seats-${camera}.json`, new TextEncoder().encode(plan));
          }}
        >
          {t.seatsSave}
        </button>
      </p>
    </div>
  );
}

interface AreaProps {
  canvas: RefObject<HTMLCanvasElement | null>;
  cross: Point;
  onCross: (cross: Point) => void;
  onPoint: (point: Point) => void;
  onBack: () => void;
  children: ComponentChildren;
}

/** What is drawn on, by mouse, finger or keyboard. */
function Area({ canvas, cross, onCross, onPoint, onBack, children }: AreaProps) {
  const within = (value: number): number => Math.min(1, Math.max(0, value));
  const onKey = (event: KeyboardEvent): void => {
    const moves: Record<string, Point> = {
      ArrowLeft: [-STEP, 0],
      ArrowRight: [STEP, 0],
      ArrowUp: [0, -STEP],
      ArrowDown: [0, STEP],
    };
    const move = moves[event.key];
    if (move) onCross([within(cross[0] + move[0]), within(cross[1] + move[1])]);
    else if (event.key === "Enter") onPoint(cross);
    else if (event.key === "Backspace") onBack();
    else return;
    event.preventDefault();
  };
  return (
    <canvas
      ref={canvas}
      tabIndex={0}
      role="application"
      aria-label={String(children)}
      onKeyDown={onKey}
      onClick={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        const point: Point = [
          within((event.clientX - box.left) / box.width),
          within((event.clientY - box.top) / box.height),
        ];
        onCross(point);
        onPoint(point);
      }}
    />
  );
}
