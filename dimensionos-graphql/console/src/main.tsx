import { render } from "preact";

import { resume } from "./api/session";
import { App } from "./app";
import "./style.css";

const place = document.getElementById("app");
if (place) render(<App />, place);
void resume();
