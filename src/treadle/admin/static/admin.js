// What the page does beyond reading: it stays live, draws the chart, takes keys. Without it everything still reads,
// and every button is a form.
import { drawChart } from "./chart.js";
import { listenToKeys } from "./keys.js";
import { stayLive } from "./live.js";
import { offerThemes } from "./themes.js";
import { sayWhatHappens } from "./words.js";

offerThemes();
sayWhatHappens();
listenToKeys();
const chart = drawChart(document.getElementById("chart"));
stayLive((beat) => chart?.add(beat));
