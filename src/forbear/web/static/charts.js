// Draws each chart of the page from the specification that stands beside it, in the page's own colours
// and type. Vega's interpreter walks the expressions, so that no text is ever run as code.
"use strict";

function config(place) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const ramp = [1, 2, 3, 4, 5, 6].map((k) => colour(`--ramp-${k}`));
  const text = { labelColor: colour("--ink"), titleColor: colour("--soft"), labelFontSize: 13, titleFontSize: 12 };
  return {
    font: getComputedStyle(document.body).fontFamily,
    aria: false, // the place of the chart carries its name; the table has its figures
    mark: { aria: false },
    view: { stroke: null },
    axis: { ...text, domain: false, ticks: false, labelPadding: 8, labelLimit: 150 },
    legend: { ...text, symbolType: "square", symbolSize: 110, columnPadding: 14, titleFontWeight: "normal", offset: 10, labelLimit: 260, columns: place.clientWidth < 400 ? 2 : 3 },
    bar: { stroke: colour("--card"), strokeWidth: 1 },
    text: { color: colour("--ink"), fontSize: 13 },
    style: { figure: { fontSize: 13, fontWeight: 600 } },
    range: {
      ordinal: ramp,
      outcomes: ["--contact", "--hold", "--left", "--calm"].map(colour),
      holds: ["--contact", "--left"].map(colour),
    },
  };
}

function draw() {
  for (const source of document.querySelectorAll("script[data-chart]")) {
    const place = document.getElementById(source.dataset.chart);
    const compiled = vegaLite.compile(JSON.parse(source.textContent), { config: config(place) }).spec;
    new vega.View(vega.parse(compiled, null, { ast: true }), {
      expr: vega.expressionInterpreter,
      renderer: "svg",
      container: place,
      hover: false,
    })
      .runAsync()
      .then(() => place.setAttribute("data-drawn", "true"));
  }
}

draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
