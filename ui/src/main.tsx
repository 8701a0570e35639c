/** Entry of the box's pages. */

import { render } from "preact";

import { App } from "./pages/App";
import "./style.css";

const root = document.getElementById("app");
if (root) render(<App />, root);
