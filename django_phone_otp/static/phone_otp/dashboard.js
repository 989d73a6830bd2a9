/* Draws the dashboard's charts from the data that the page holds. The numbers stand in a table under
   each chart, so whoever has no script, or cannot see, misses nothing; where charts cannot be drawn
   the tables stay open.

   A line has a dash and a bar has a hatching of its own: what is what can be told without colour. */

"use strict";
{
  const DASHES = { asked: [2, 3], sent: [8, 4] };
  // One colour for what has failed: the service, our account, a limit, the number; and with it a
  // hatching for each reason, the same in every period. The most usual differ in that alone too.
  const REASONS = {
    "reason-unavailable": ["reason-1"],
    "reason-uncertain": ["reason-1", "diagonal"],
    "reason-rejected": ["reason-1", "dots"],
    "reason-no_funds": ["reason-3", "dots"],
    "reason-throttled": ["reason-3"],
    "reason-misconfigured": ["reason-3", "level"],
    "reason-phone_over_budget": ["reason-2", "grid"],
    "reason-over_budget": ["reason-2"],
    "reason-limited": ["reason-2", "diagonal"],
    "reason-unreachable": ["reason-4", "level"],
    "reason-invalid_recipient": ["reason-4", "dots"],
    "reason-other": ["reason-5", "grid"],
  };
  const language = document.documentElement.lang || undefined;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  const readVariable = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const readInk = (ink) => readVariable(`--otp-${REASONS[ink]?.[0] ?? ink}`);

  // What an axis says, by its unit.
  const formats = {
    count: new Intl.NumberFormat(language, { notation: "compact" }),
    percent: new Intl.NumberFormat(language, { style: "percent" }),
    second: new Intl.NumberFormat(language, { style: "unit", unit: "second", unitDisplay: "narrow" }),
  };

  function makeHatch(ink) {
    const color = readInk(ink);
    const kind = REASONS[ink]?.[1];
    if (!kind) {
      return color;
    }
    const tile = document.createElement("canvas");
    tile.width = tile.height = 6;
    const pen = tile.getContext("2d");
    pen.globalAlpha = 0.3;
    pen.fillStyle = color;
    pen.fillRect(0, 0, 6, 6);
    pen.globalAlpha = 1;
    pen.strokeStyle = color;
    pen.lineWidth = 1.5;
    pen.beginPath();
    if (kind === "diagonal") {
      for (const shift of [-6, 0, 6]) {
        pen.moveTo(shift - 1, 7);
        pen.lineTo(shift + 7, -1);
      }
    } else if (kind === "dots") {
      pen.fillRect(1, 1, 2, 2);
      pen.fillRect(4, 4, 2, 2);
    } else {
      pen.moveTo(0, 3);
      pen.lineTo(6, 3);
      if (kind === "grid") {
        pen.moveTo(3, 0);
        pen.lineTo(3, 6);
      }
    }
    pen.stroke();
    return pen.createPattern(tile, "repeat");
  }

  // A value with a gap on both sides would be a line of no length.
  const isAlone = (values, place) =>
    values[place] !== null && (values[place - 1] ?? null) === null && (values[place + 1] ?? null) === null;

  function makeLine(series, data) {
    const color = readInk(series.ink);
    const last = series.values.length - 1;
    return {
      label: series.name,
      data: series.values,
      texts: series.texts,
      borderColor: color,
      backgroundColor: color,
      borderDash: DASHES[series.ink] || [],
      borderWidth: 2,
      borderJoinStyle: "round",
      tension: 0.25,
      cubicInterpolationMode: "monotone",
      spanGaps: false,
      pointRadius: series.values.map((_value, place) => (isAlone(series.values, place) ? 3 : 0)),
      pointHitRadius: 12,
      pointHoverRadius: 4,
      // The step that is not over yet is low because of that: it is drawn faintly.
      segment: {
        borderColor: (part) =>
          data.isPartial && part.p1DataIndex === last ? `color-mix(in srgb, ${color} 45%, transparent)` : undefined,
      },
    };
  }

  function makeBars(series) {
    return {
      label: series.name,
      data: series.values,
      texts: series.texts,
      backgroundColor: makeHatch(series.ink),
      borderColor: readInk(series.ink),
      borderWidth: { top: 1 },
      maxBarThickness: 28,
      stack: "all",
    };
  }

  function makeHours(series) {
    const isWhole = series.ink === "asked";
    const color = readInk(series.ink);
    return {
      label: series.name,
      data: series.values,
      texts: series.texts,
      backgroundColor: isWhole ? "transparent" : color,
      borderColor: color,
      borderWidth: isWhole ? 1.5 : 0,
      borderRadius: 2,
      grouped: false,
      barPercentage: isWhole ? 0.95 : 0.6,
      categoryPercentage: 0.9,
      order: isWhole ? 2 : 1,
    };
  }

  const makers = { line: makeLine, bar: makeBars, hours: makeHours };

  function makeDatasets(data) {
    return data.series
      .filter((series) => series.values.length)
      .map((series) => makers[data.kind](series, data));
  }

  function makeOptions(data) {
    const quiet = readVariable("--body-quiet-color");
    const hairline = readVariable("--hairline-color");
    const isStacked = data.kind === "bar";
    return {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      scales: {
        x: {
          stacked: isStacked,
          border: { color: hairline },
          grid: { display: false },
          ticks: { color: quiet, maxRotation: 0, autoSkipPadding: 16 },
        },
        y: {
          stacked: isStacked,
          beginAtZero: true,
          suggestedMax: data.unit === "percent" ? 1 : undefined,
          border: { display: false },
          grid: { color: hairline },
          ticks: {
            color: quiet,
            maxTicksLimit: 6,
            precision: data.unit === "count" ? 0 : undefined,
            callback: (value) => formats[data.unit].format(value),
          },
        },
      },
      plugins: {
        legend: { display: false },
        tooltip: {
          backgroundColor: readVariable("--body-bg"),
          bodyColor: readVariable("--body-fg"),
          titleColor: readVariable("--body-loud-color"),
          borderColor: readVariable("--border-color"),
          borderWidth: 1,
          boxPadding: 4,
          padding: 10,
          filter: (item) => data.kind !== "bar" || item.raw > 0,
          callbacks: { label: (item) => ` ${item.dataset.label}: ${item.dataset.texts[item.dataIndex]}` },
        },
      },
    };
  }

  function drawSwatch(swatch) {
    const { ink, kind } = swatch.dataset;
    const ratio = window.devicePixelRatio || 1;
    const width = 26;
    const height = 12;
    swatch.width = width * ratio;
    swatch.height = height * ratio;
    const pen = swatch.getContext("2d");
    pen.scale(ratio, ratio);
    pen.lineWidth = 2;
    pen.strokeStyle = readInk(ink);
    if (kind === "line") {
      pen.setLineDash(DASHES[ink] || []);
      pen.moveTo(0, height / 2);
      pen.lineTo(width, height / 2);
      pen.stroke();
    } else if (kind === "hours" && ink === "asked") {
      pen.lineWidth = 1.5;
      pen.strokeRect(6.75, 0.75, 12.5, height - 1.5);
    } else {
      pen.fillStyle = makeHatch(ink);
      pen.fillRect(6, 0, 14, height);
    }
  }

  function start() {
    const page = document.querySelector(".otp-page");
    page.classList.add("otp-ready");
    if (!window.Chart) {
      page.querySelectorAll(".otp-chart").forEach((each) => { each.hidden = true; });
      return;
    }
    page.querySelectorAll(".otp-drawn details").forEach((each) => { each.open = false; });
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    Chart.defaults.font.size = 12;
    const charts = JSON.parse(document.getElementById("otp-charts").textContent);
    const drawn = charts.map((data) => ({
      data,
      chart: new Chart(document.getElementById(`otp-${data.key}`), {
        type: data.kind === "line" ? "line" : "bar",
        data: { labels: data.steps, datasets: makeDatasets(data) },
        options: makeOptions(data),
      }),
    }));
    const swatches = document.querySelectorAll(".otp-swatch");
    swatches.forEach(drawSwatch);

    function repaint() {
      for (const { data, chart } of drawn) {
        chart.data.datasets = makeDatasets(data);
        chart.options = makeOptions(data);
        chart.update("none");
      }
      swatches.forEach(drawSwatch);
    }
    // The admin's button writes the theme here; where it is "auto" the system decides.
    new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    dark.addEventListener("change", repaint);
  }

  start();
}
