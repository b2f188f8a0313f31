// Draws each chart of a page from its specification, without evaluating code (Vega's interpreter).
for (const source of document.querySelectorAll("script.chart")) {
  const place = document.getElementById(source.dataset.place);
  const spec = vegaLite.compile(JSON.parse(source.textContent)).spec;
  new vega.View(vega.parse(spec, null, { ast: true }), {
    expr: vega.expressionInterpreter,
    renderer: "svg",
    container: place,
  }).runAsync().then(() => place.setAttribute("data-drawn", "true"));
}
