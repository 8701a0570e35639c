/** Draws a seat on a veiled picture and gives the text for the list. The picture stays in the page. */

import { useEffect, useRef, useState } from "preact/hooks";

import { download } from "../parts/Screen";
import { Card, usePagesText } from "./common";
import { crosses, seatText, type Point } from "./seat";

/** Most corners that the list takes. */
const MOST = 32;
/** One step of an arrow key, as a part of the picture. */
const STEP = 0.01;

export function SeatsPage() {
  const t = usePagesText();
  const [camera, setCamera] = useState("cam1");
  const [picture, setPicture] = useState<HTMLCanvasElement | null>(null);
  const open = async (file: File | undefined): Promise<void> => {
    if (!file) return;
    const bitmap = await createImageBitmap(file).catch(() => null);
    if (!bitmap) return;
    const canvas = document.createElement("canvas");
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
    setPicture(canvas);
  };
  return (
    <Card title={t.seatsTitle}>
      <p class="hint">{t.seatsHint}</p>
      <label for="seat-camera">{t.seatsCamera}</label>
      <input
        id="seat-camera"
        type="text"
        value={camera}
        onInput={(event) => setCamera(event.currentTarget.value.trim())}
      />
      <label for="seat-picture">{t.seatsPicture}</label>
      <input
        id="seat-picture"
        type="file"
        accept="image/*"
        onChange={(event) => void open(event.currentTarget.files?.[0])}
      />
      {picture && <Seats picture={picture} camera={camera} />}
    </Card>
  );
}

export function Seats({ picture, camera }: { picture: HTMLCanvasElement; camera: string }) {
  const t = usePagesText();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [points, setPoints] = useState<readonly Point[]>([]);
  const [cross, setCross] = useState<Point>([0.5, 0.5]);
  const [copied, setCopied] = useState(false);
  useEffect(() => setPoints([]), [picture]);

  useEffect(() => {
    const it = canvas.current;
    const draw = it?.getContext("2d");
    if (!it || !draw) return;
    it.width = picture.width;
    it.height = picture.height;
    draw.drawImage(picture, 0, 0);
    const at = ([x, y]: Point): [number, number] => [x * it.width, y * it.height];
    draw.lineWidth = Math.max(2, it.width / 400);
    // A dark line under a light one is seen on every picture.
    for (const [colour, extra] of [["#000", 2], ["#fff", 0]] as const) {
      draw.strokeStyle = colour;
      draw.lineWidth = Math.max(2, it.width / 400) + extra;
      draw.beginPath();
      points.forEach((point, i) => (i === 0 ? draw.moveTo(...at(point)) : draw.lineTo(...at(point))));
      if (points.length > 2) draw.closePath();
      draw.stroke();
      const [x, y] = at(cross);
      const arm = it.width / 40;
      draw.beginPath();
      draw.moveTo(x - arm, y);
      draw.lineTo(x + arm, y);
      draw.moveTo(x, y - arm);
      draw.lineTo(x, y + arm);
      draw.stroke();
    }
  }, [picture, points, cross]);

  const add = (point: Point): void => {
    setCopied(false);
    setPoints((before) => (before.length < MOST ? [...before, point] : before));
  };
  const within = (value: number): number => Math.min(1, Math.max(0, value));
  const onKey = (event: KeyboardEvent): void => {
    const moves: Record<string, Point> = {
      ArrowLeft: [-STEP, 0],
      ArrowRight: [STEP, 0],
      ArrowUp: [0, -STEP],
      ArrowDown: [0, STEP],
    };
    const move = moves[event.key];
    if (move) setCross(([x, y]) => [within(x + move[0]), within(y + move[1])]);
    else if (event.key === "Enter") add(cross);
    else if (event.key === "Backspace") setPoints((before) => before.slice(0, -1));
    else return;
    event.preventDefault();
  };
  const problem = points.length < 3 ? t.seatsFew : crosses(points) ? t.seatsCrossed : null;
  const text = problem ? "" : seatText(camera, points);
  return (
    <div class="seats">
      <canvas
        ref={canvas}
        tabIndex={0}
        role="application"
        aria-label={t.seatsArea}
        onKeyDown={onKey}
        onClick={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          const point: Point = [
            within((event.clientX - box.left) / box.width),
            within((event.clientY - box.top) / box.height),
          ];
          setCross(point);
          add(point);
        }}
      />
      <p class="row">
        <button type="button" onClick={() => setPoints(points.slice(0, -1))}>
          {t.seatsUndo}
        </button>
        <button type="button" onClick={() => setPoints([])}>
          {t.seatsClear}
        </button>
        <button
          type="button"
          onClick={() =>
            picture.toBlob((blob) => {
              if (blob) void blob.arrayBuffer().then((it) => download(`${camera}.png`, new Uint8Array(it)));
            })
          }
        >
          {t.savePicture}
        </button>
      </p>
      <p role="status">
        {problem ?? (
          <>
            {t.seatsText}: <code data-seat>{text}</code>{" "}
            <button
              type="button"
              onClick={() => void navigator.clipboard?.writeText(text).then(() => setCopied(true))}
            >
              {t.copy}
            </button>{" "}
            {copied && t.copied}
          </>
        )}
      </p>
    </div>
  );
}
