import { render } from "preact";

import { resume } from "./api/session";
import { App } from "./app";
import { Insecure } from "./pages/insecure";
import "./style.css";

const place = document.getElementById("app");
if (place) render(isSecureContext ? <App /> : <Insecure />, place);
if (isSecureContext) void resume();
