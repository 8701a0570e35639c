/** The viewer that needs no box: opens a folder on this computer. */

import { useState } from "preact/hooks";

import { preferred, speak, Spoken, type Language } from "../text/language";
import { boxKey, type BoxKey } from "../viewer/minisign";
import { Refused, type Reason } from "../viewer/refused";
import { FolderSource } from "../viewer/source";
import { Problem, reasonOf, useViewerText, Viewer } from "./Viewer";

export function FileViewer() {
  const [language, setLanguage] = useState<Language>(preferred);
  speak(language);
  return (
    <Spoken.Provider value={language}>
      <Page onLanguage={() => setLanguage(language === "nl" ? "en" : "nl")} />
    </Spoken.Provider>
  );
}

function Page({ onLanguage }: { onLanguage: () => void }) {
  const { t } = useViewerText();
  const [source, setSource] = useState<FolderSource | null>(null);
  const [pinned, setPinned] = useState<BoxKey | null>(null);
  const [problem, setProblem] = useState<Reason | null>(null);
  const [over, setOver] = useState(false);
  const choose = (make: () => FolderSource | Promise<FolderSource>): void => {
    setProblem(null);
    setSource(null);
    Promise.resolve()
      .then(make)
      .then(setSource, (error: unknown) => setProblem(reasonOf(error)));
  };
  const pin = async (file: File | undefined): Promise<void> => {
    setProblem(null);
    const found = file && file.size < 4096 ? boxKey(await file.text()) : null;
    setPinned(found);
    if (file && !found) setProblem(new Refused({ code: "bad-box-key" }).reason);
  };
  document.title = `classveil: ${t.title}`;
  return (
    <>
      <header>
        <h1>classveil</h1>
        <button type="button" onClick={onLanguage}>
          {t.language}
        </button>
      </header>
      <main
        class={over ? "over" : ""}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          const items = event.dataTransfer?.items;
          // Read at once: the list is empty once the event is over.
          const dropped = items ? FolderSource.fromDrop(items) : null;
          if (dropped) choose(() => dropped);
        }}
      >
        <p>{t.intro}</p>
        <div class="card">
          <label for="folder">{t.pickFolder}</label>
          <input
            id="folder"
            type="file"
            multiple
            aria-describedby="folder-hint"
            {...{ webkitdirectory: true }}
            onChange={(event) => {
              const { files } = event.currentTarget;
              if (files && files.length > 0) choose(() => FolderSource.fromInput(files));
            }}
          />
          <p id="folder-hint" class="hint">
            {t.pickHint}
          </p>
          <label for="box-key">{t.pickBoxKey}</label>
          <input
            id="box-key"
            type="file"
            aria-describedby="box-key-hint"
            onChange={(event) => void pin(event.currentTarget.files?.[0])}
          />
          <p id="box-key-hint" class="hint">
            {t.pickBoxKeyHint}
          </p>
          {problem && <Problem reason={problem} />}
        </div>
        {source && <Viewer source={source} pinned={pinned} person={null} />}
      </main>
    </>
  );
}
