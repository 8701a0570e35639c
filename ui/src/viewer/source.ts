/** Where the files of a recording come from: a folder that was picked, or the box. */

import { type Bytes } from "./bytes";
import { refuse } from "./refused";

export interface Source {
  /** Names of the files, relative to the recording's folder. */
  list(): Promise<readonly string[]>;
  /** The same, asked for anew where others may add files meanwhile. */
  listAgain?(): Promise<readonly string[]>;
  /** The size of a file in bytes where it is known without reading it. */
  size(name: string): number | null;
  /** Reads a whole file of at most `limit` bytes. */
  read(name: string, limit: number): Promise<Bytes>;
  /** The recording's wrapped key: of `key.age`, or of a grant for whoever is logged in. */
  wrappedKey?(): Promise<Bytes>;
  /** The teacher's signed statement by which whoever is logged in looks; `null` for a recipient. */
  grant?(): Promise<string | null>;
  /** Keeps marks of whoever is logged in with the recording; where it can. */
  keepMarks?(sealed: Uint8Array): Promise<void>;
}

/** A folder that was picked or dragged in. Nothing of it is copied or sent. */
export class FolderSource implements Source {
  readonly #files = new Map<string, File>();

  /** `files` by their path below the folder that was picked. */
  constructor(files: Iterable<readonly [string, File]>) {
    const all = [...files];
    // The folder itself may have been picked, or one that holds it.
    const manifest = all
      .map(([path]) => path)
      .filter((path) => path === "manifest.json" || path.endsWith("/manifest.json"))
      .sort((a, b) => a.length - b.length)[0];
    if (manifest === undefined) refuse({ code: "not-a-recording" });
    const top = manifest.slice(0, -"manifest.json".length);
    for (const [path, file] of all) {
      if (path.startsWith(top)) this.#files.set(path.slice(top.length), file);
    }
  }

  static fromInput(list: FileList): FolderSource {
    return new FolderSource(Array.from(list, (file) => [file.webkitRelativePath || file.name, file]));
  }

  /** The files of what was dropped. */
  static async fromDrop(items: DataTransferItemList): Promise<FolderSource> {
    // The list is empty as soon as this function waits.
    const roots = Array.from(items, (item) => item.webkitGetAsEntry()).filter((it) => it !== null);
    const files: [string, File][] = [];
    const walk = async (entry: FileSystemEntry): Promise<void> => {
      if (entry.isFile) {
        const file = await new Promise<File>((done, failed) => {
          (entry as FileSystemFileEntry).file(done, failed);
        });
        files.push([entry.fullPath.slice(1), file]);
        return;
      }
      const reader = (entry as FileSystemDirectoryEntry).createReader();
      // A reader gives a hundred entries at a time and none at the end.
      for (;;) {
        const some = await new Promise<FileSystemEntry[]>((done, failed) => {
          reader.readEntries(done, failed);
        });
        if (some.length === 0) return;
        for (const one of some) await walk(one);
      }
    };
    for (const root of roots) await walk(root);
    return new FolderSource(files);
  }

  async list(): Promise<readonly string[]> {
    return [...this.#files.keys()];
  }

  size(name: string): number | null {
    return this.#files.get(name)?.size ?? null;
  }

  async read(name: string, limit: number): Promise<Bytes> {
    const file = this.#files.get(name) ?? refuse({ code: "missing", file: name });
    if (file.size > limit) {
      return refuse({ code: "length", file: name, bytes: file.size, expected: limit });
    }
    try {
      return new Uint8Array(await file.arrayBuffer());
    } catch {
      // The file went or changed since the folder was picked.
      return refuse({ code: "altered", file: name });
    }
  }
}
