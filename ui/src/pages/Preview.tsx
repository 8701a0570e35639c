/** What the cameras record, after it was veiled; only for who belongs to the lesson. */

import { useEffect, useRef, useState } from "preact/hooks";

import { Card, usePagesText } from "./common";
import { Seats } from "./Seats";

/** A picture that broke off is asked for again after so long, in milliseconds. */
const AGAIN = 2000;

export function Preview({ cameras }: { cameras: readonly string[] }) {
  const t = usePagesText();
  if (cameras.length === 0) return null;
  return (
    <Card title={t.preview}>
      <p class="hint">{t.previewHint}</p>
      {cameras.map((camera) => (
        <One key={camera} camera={camera} />
      ))}
    </Card>
  );
}

function One({ camera }: { camera: string }) {
  const t = usePagesText();
  const image = useRef<HTMLImageElement>(null);
  const [turn, setTurn] = useState(0);
  const [taken, setTaken] = useState<HTMLCanvasElement | null>(null);
  useEffect(
    () => () => {
      // Otherwise the browser goes on asking for a picture that nobody sees.
      if (image.current) image.current.src = "";
    },
    [],
  );
  const take = (): void => {
    const from = image.current;
    if (!from?.naturalWidth) return;
    const canvas = document.createElement("canvas");
    canvas.width = from.naturalWidth;
    canvas.height = from.naturalHeight;
    canvas.getContext("2d")?.drawImage(from, 0, 0);
    setTaken(canvas);
  };
  return (
    <figure>
      <img
        ref={image}
        src={`/api/v1/cameras/${encodeURIComponent(camera)}/preview?turn=${turn}`}
        alt={`${t.previewAlt} ${camera}`}
        onError={() => setTimeout(() => setTurn((it) => it + 1), AGAIN)}
      />
      <figcaption class="row">
        <span>{camera}</span>
        <button type="button" onClick={take}>
          {t.seatsTake}
        </button>
      </figcaption>
      {taken && <Seats picture={taken} camera={camera} />}
    </figure>
  );
}
