// The one chart: waiting and running jobs over the last quarter of an hour.

const POINT_SECONDS = 5;
const SPAN_SECONDS = 15 * 60;

const clock = (at) => new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });

export function drawChart(place) {
  if (!place || !window.uPlot) return null;
  const columns = [[], [], []];
  let plot = null;

  const colour = (name) => getComputedStyle(place).getPropertyValue(name).trim();
  // light-dark() is not resolved in a custom property: a probe's colour is.
  const resolved = (name) => {
    const probe = place.appendChild(document.createElement("i"));
    probe.style.color = `var(${name})`;
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value || colour(name);
  };

  const build = () => {
    plot?.destroy();
    place.replaceChildren();
    const line = resolved("--line");
    const quiet = resolved("--quiet");
    const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px sans-serif" };
    const series = (label, name) => ({ label, stroke: resolved(name), width: 2, points: { show: false } });
    plot = new window.uPlot(
      {
        width: place.clientWidth,
        height: place.clientHeight,
        legend: { show: false },
        cursor: { drag: { x: false, y: false } },
        scales: {
          x: { time: true, range: (_, __, newest) => [newest - SPAN_SECONDS, newest] },
          y: { range: (_, __, most) => [0, Math.max(4, Math.ceil(most * 1.1))] },
        },
        axes: [{ ...axis, size: 30, values: (_, moments) => moments.map(clock) }, { ...axis, size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000] }],
        series: [{}, series("waiting", "--waiting"), series("running", "--running")],
      },
      columns,
      place,
    );
  };

  const load = async () => {
    const answer = await fetch(place.dataset.series);
    if (!answer.ok) return;
    const loaded = await answer.json();
    columns.forEach((column, i) => column.splice(0, column.length, ...loaded[i]));
    build();
  };

  new ResizeObserver(() => plot?.setSize({ width: place.clientWidth, height: place.clientHeight })).observe(place);
  new MutationObserver(() => plot && build()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plot && build());
  load();

  return {
    // The newest point moves with each beat, and stays where it is once it is old enough to be one of the series.
    add(beat) {
      if (plot === null) return;
      const [at, waiting, running] = columns;
      const last = at.length - 1;
      const isProvisional = last > 0 && beat.at - at[last - 1] < POINT_SECONDS;
      const index = isProvisional ? last : last + 1;
      at[index] = beat.at;
      waiting[index] = beat.waiting;
      running[index] = beat.running;
      while (at[0] < beat.at - SPAN_SECONDS) columns.forEach((column) => column.shift());
      plot.setData(columns);
    },
  };
}
