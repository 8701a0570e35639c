/** Entry of the viewer that is one file. */

import { render } from "preact";

import { FileViewer } from "./parts/FileViewer";
import "./style.css";

const root = document.getElementById("app");
if (root) render(<FileViewer />, root);
