/** Who is logged in, and which pages are theirs. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import { preferred, speak, Spoken, type Language } from "../text/language";
import type { PagesText } from "../text/pages.en";
import { Api, session, type Role, type Session } from "./api";
import { Box } from "./Box";
import { Failed, usePagesText } from "./common";
import { Counts } from "./Counts";
import { Keys } from "./Keys";
import { Lesson } from "./Lesson";
import { Log } from "./Log";
import { Login } from "./Login";
import { Papers } from "./Papers";
import { Pupils } from "./Pupils";
import { Recordings } from "./Recordings";
import { Requests } from "./Requests";
import { SeatsPage } from "./Seats";
import { Teacher } from "./Teacher";

type Tab = keyof PagesText["tabs"];

const TABS: Record<Role, readonly Tab[]> = {
  coach: ["lesson", "recordings", "keys"],
  teacher: ["mine", "recordings", "keys"],
  admin: ["pupils", "seats", "papers", "counts", "box"],
  operator: ["box", "log"],
  "privacy-officer": ["requests", "papers", "keys", "log", "box"],
  manager: ["counts"],
  viewer: ["recordings", "keys"],
};

const PAGES: Record<Tab, (props: { api: Api }) => JSX.Element> = {
  lesson: Lesson,
  recordings: Recordings,
  keys: Keys,
  pupils: Pupils,
  seats: SeatsPage,
  papers: Papers,
  requests: Requests,
  counts: Counts,
  mine: Teacher,
  box: Box,
  log: Log,
};

export function App() {
  const [language, setLanguage] = useState<Language>(preferred);
  speak(language);
  return (
    <Spoken.Provider value={language}>
      <Pages onLanguage={() => setLanguage(language === "nl" ? "en" : "nl")} />
    </Spoken.Provider>
  );
}

function Pages({ onLanguage }: { onLanguage: () => void }) {
  const t = usePagesText();
  const [who, setWho] = useState<Session | null | undefined>(undefined);
  const [error, setError] = useState<unknown>(null);
  const [api, setApi] = useState<Api | null>(null);
  const [tab, setTab] = useState<Tab | null>(null);

  const ask = (): void => {
    setError(null);
    session().then(setWho, setError);
  };
  useEffect(ask, []);
  useEffect(() => {
    setApi(who ? new Api(who, () => setWho(null)) : null);
    if (!who) return;
    const follow = (): void => {
      const wanted = location.hash.slice(1) as Tab;
      const tabs = TABS[who.role];
      setTab(tabs.includes(wanted) ? wanted : (tabs[0] ?? null));
    };
    follow();
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, [who]);
  document.title = tab && api ? `classveil: ${t.tabs[tab]}` : t.title;

  const Page = tab && PAGES[tab];
  return (
    <>
      <a class="skip" href="#content" onClick={(event) => {
        event.preventDefault();
        document.getElementById("content")?.focus();
      }}>
        {t.skip}
      </a>
      <header>
        <h1>{t.title}</h1>
        <div class="row">
          {api && (
            <>
              <span>{t.loggedInAs(api.session.name, t.roles[api.session.role] ?? "")}</span>
              <button type="button" onClick={() => void api.logOut()}>
                {t.logOut}
              </button>
            </>
          )}
          <button type="button" onClick={onLanguage}>
            {t.language}
          </button>
        </div>
      </header>
      {api && tab && (
        <nav aria-label={t.title}>
          <ul class="tabs">
            {TABS[api.session.role].map((one) => (
              <li key={one}>
                <a href={`#${one}`} aria-current={one === tab ? "page" : undefined}>
                  {t.tabs[one]}
                </a>
              </li>
            ))}
          </ul>
        </nav>
      )}
      <main id="content" tabIndex={-1}>
        {error !== null && (
          <>
            <Failed error={error} />
            <button type="button" onClick={ask}>
              {t.retry}
            </button>
          </>
        )}
        {error === null && who === undefined && <p role="status">{t.loading}</p>}
        {who === null && <Login onLoggedIn={setWho} />}
        {who && api && Page && <Page api={api} />}
      </main>
    </>
  );
}
